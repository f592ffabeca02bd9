"""The review of a system's logs: one scan a log, with findings for the ledger, lines and tables for the reader."""

from datetime import timedelta
from functools import partial

from tasks.base.clock import utc_now
from tasks.base.findings import Scan
from tasks.base.log_review import LogSource
from tasks.base.pod_logs import Fetch
from tasks.base.scans import Looked, Scanning, as_check, unknown
from tasks.base.system import System
from tasks.logs.commands import newest_lines
from tasks.logs.history import History
from tasks.logs.log_findings import findings_of, scope_of
from tasks.logs.log_lines import Lines
from tasks.logs.log_tables import message_kinds, tables
from tasks.logs.sources import NotFetchedError, read_source
from tasks.logs.tally import tally_of
from tasks.repository.store import Store


def log_reviews(store: Store, system: System, flow: str, run_id: str, fetch: Fetch) -> list[Scanning]:
    """One review per log that the system file names; each flow has its own periods, without a gap between them.

    `fetch` is what asks a cluster for the logs of pods.
    """
    return [
        (scope_of(source), partial(review_log, store, system, source, flow, run_id, fetch))
        for source in system.log_review.sources
    ]


def review_log(store: Store, system: System, source: LogSource, flow: str, run_id: str, fetch: Fetch) -> Scan:
    """Read what was logged since this flow's last review; a reading that is not whole closes no finding."""
    return as_check(scope_of(source), f"log {source.kind}", partial(_look, store, system, source, flow, run_id, fetch))


def _look(store: Store, system: System, source: LogSource, flow: str, run_id: str, fetch: Fetch) -> Looked:
    policy, now = system.log_review, utc_now()
    until = now - timedelta(seconds=policy.settle_seconds)
    history = History(store, system.name, flow, source.name, policy, now)
    since = history.since(run_id, until)
    try:
        reading, tally = read_source(source, policy, since, until, fetch)
    except NotFetchedError as error:
        # The next review begins where this one should have.
        nothing = tally_of(since, until, policy.source_failures)
        history.append(run_id, history.row(run_id, nothing, since, until, whole=False))
        return unknown("log", source.name, f"not known: {error}", newest_lines(source), skip=True)
    before = history.before(since)
    messages = message_kinds(tally, before, policy)
    lines = Lines(source, policy, reading, tally, before)
    missing = lines.missing()
    row = history.row(run_id, tally, since, until, whole=not missing)
    findings = tuple(findings_of(source, policy, [*history.all, row], now))
    history.append(run_id, row)
    # What was seen of a part counts; that something is not there does not.
    said = [*missing, *(lines.all(findings, messages)[1:] if missing and tally.reviewed else ())]
    return Looked(
        findings=findings,
        checks=tuple(said or lines.all(findings, messages)),
        missing="; ".join(one.message for one in missing),
        attachments=tuple(tables(source, tally, messages, policy)),
    )
