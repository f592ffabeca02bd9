"""The errors of the last days by their kind, for who reviews how a system fares: what recurs, rises, or is new."""

from datetime import timedelta

from tasks.base.clock import utc_now
from tasks.base.log_review import LogSource
from tasks.base.performance import Part
from tasks.base.pod_logs import Fetch
from tasks.base.scans import unknown
from tasks.base.system import System
from tasks.logs.commands import newest_lines
from tasks.logs.history import History
from tasks.logs.log_lines import WITH_ERRORS, Lines
from tasks.logs.log_tables import message_kinds, tables
from tasks.logs.sources import NotFetchedError, read_source
from tasks.repository.store import Store


def review_errors(store: Store, system: System, flow: str, days: float, fetch: Fetch) -> Part:
    """What the logs of `log_review` that tell errors hold of the last days, against what reviews counted before.

    Nothing is kept: the reviews of logs have periods of their own, in which every line is counted once.
    """
    sources = [source for source in system.log_review.sources if source.kind in WITH_ERRORS]
    return Part.joined([_review(store, system, source, flow, days, fetch) for source in sources])


def _review(store: Store, system: System, source: LogSource, flow: str, days: float, fetch: Fetch) -> Part:
    policy, now = system.log_review, utc_now()
    until = now - timedelta(seconds=policy.settle_seconds)
    since = until - timedelta(days=days)
    try:
        reading, tally = read_source(source, policy, since, until, fetch)
    except NotFetchedError as error:
        said = f"not known: {error}"
        return Part(checks=unknown("log", source.name, said, newest_lines(source), skip=True).checks)
    before = History(store, system.name, flow, source.name, policy, now).before_of_any_flow(since)
    messages = message_kinds(tally, before, policy)
    lines = Lines(source, policy, reading, tally, before)
    return Part(
        checks=(*lines.missing(), *lines.lost(), *([lines.errors(messages)] if tally.reviewed else [])),
        attachments=tuple(table for table in tables(source, tally, messages, policy) if table.name == "log_messages"),
    )
