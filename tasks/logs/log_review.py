"""The review of a system's logs: one scan a log, with findings for the ledger, lines and tables for the reader."""

from datetime import datetime, timedelta
from functools import partial

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, MissingError, NightshiftError, RefusedError, UnreachableError
from tasks.base.findings import Scan
from tasks.base.log_review import Container, LogReviewPolicy, LogSource
from tasks.base.pod_logs import Fetch
from tasks.base.scans import Looked, Scanning, as_check, unknown
from tasks.base.scratch import scratch_folder
from tasks.base.system import System
from tasks.logs.collect import collect
from tasks.logs.commands import newest_lines
from tasks.logs.files import Reading
from tasks.logs.history import History
from tasks.logs.log_findings import findings_of, scope_of
from tasks.logs.log_lines import Lines
from tasks.logs.log_tables import message_kinds, tables
from tasks.logs.tally import Tally, tally_of
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
        reading, tally = _collected(source, policy, since, until, fetch)
    except _NotFetchedError as error:
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


class _NotFetchedError(NightshiftError):
    """A cluster gave nothing of its pods' logs."""


def _collected(
    source: LogSource, policy: LogReviewPolicy, since: datetime, until: datetime, fetch: Fetch
) -> tuple[Reading, Tally]:
    """The reading of a log, whose lines are files already, or are fetched into a folder for a moment."""
    if source.pods is None:
        return collect(source, policy, since, until)
    with scratch_folder() as folder:
        try:
            fetched = fetch(source.pods, since, folder)
        except (UnreachableError, RefusedError, MissingError, ConfigurationError) as error:
            raise _NotFetchedError(str(error)) from None
        files = {"pods": None, "files": (f"{folder}/*.log",), "container": Container.CRI}
        reading, tally = collect(source.model_copy(update=files), policy, since, until)
    reading.missing += fetched.missing
    reading.lost += fetched.lost
    return reading, tally
