"""Rebuilding indexes beside writers, and removing what dead rebuilds left."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

import psycopg
from psycopg import sql

from tasks.base import stopping
from tasks.base.clock import stopwatch, utc_now
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.words import Verdict
from tasks.postgres import queries
from tasks.postgres.connection import lost
from tasks.postgres.inspect.bloat import Baseline
from tasks.postgres.inspect.measuring import measure
from tasks.postgres.inspect.relations import Index, ServerFacts
from tasks.postgres.maintain import statements
from tasks.postgres.maintain.gates import closed, disk_closed, watching
from tasks.postgres.maintain.history import Outcome
from tasks.postgres.maintain.plan import Step
from tasks.postgres.maintain.rest import Rest
from tasks.postgres.maintain.session import Session

# A leftover is dropped in a moment unless an old transaction is in the way; then the next run does it. A stopped run
# has eight seconds in all.
_DROP_SECONDS, _DROP_WHEN_STOPPED_SECONDS = 60, 5
_MEASURE_LOCK_SECONDS = 5
Cleaner = Callable[[], AbstractContextManager[Session]]


def drop_leftover(session: Session, step: Step, index: Index | None, rest: Rest) -> Outcome:
    """Drop an invalid index of a dead rebuild, or wait for it no longer than the window is open.

    One that a running build is at work on is left.
    """
    elapsed = stopwatch()
    found = _leftovers(session, index.table_oid) if index else []
    if index is None or (index.schema_name, index.name) not in found:
        return Outcome(step=step, verdict=Verdict.INFO, message="is gone, or a running rebuild is at work on it")
    left = _drop(session, [(index.schema_name, index.name)], min(_DROP_SECONDS, rest.left_seconds()))
    if left:
        return Outcome(step=step, verdict=Verdict.WARN, message=left, seconds=elapsed())
    message = f"dropped, {index.size_bytes} bytes"
    return Outcome(step=step, verdict=Verdict.OK, message=message, seconds=elapsed())


def rebuild(
    session: Session,
    watcher: Session,
    cleaner: Cleaner,
    step: Step,
    index: Index | None,
    policy: MaintenancePolicy,
    facts: ServerFacts,
    rest: Rest,
) -> Outcome:
    """Measure once more, ask the gates, rebuild while they are watched; no leftover stays, however it ends.

    `watcher` is a session of its own that asks the gates, `cleaner` opens one that a stop does not cancel.
    """
    elapsed = stopwatch()
    if index is None:
        return Outcome(step=step, verdict=Verdict.INFO, message="the index is gone")
    reason = step.refused or rest.refuses(step)
    if reason:
        return Outcome(step=step, verdict=Verdict.SKIP, message=reason)
    _set(session, "lock_timeout", f"{_MEASURE_LOCK_SECONDS}s")
    with watching(session, rest.over):
        bloat = measure(session, facts, index)
    _set(session, "lock_timeout", "0")
    if bloat.waste_share is None:
        stopping.raise_if_stopped()
        gone = _state(session, index) is None
        verdict, message = (Verdict.INFO, "the index is gone") if gone else (Verdict.SKIP, rest.over() or bloat.reason)
        return Outcome(step=step, verdict=verdict, message=message, seconds=elapsed())
    if bloat.waste_share < policy.index_waste_share:
        message = f"not needed: {bloat.waste_share:.0%} of {index.size_bytes} bytes would be free"
        return Outcome(step=step, verdict=Verdict.OK, message=message, seconds=elapsed(), changed=False)
    pid = session.info.backend_pid

    def ask() -> str:
        return rest.over() or closed(watcher, index, policy, facts, pid)

    # Of the disk only before: while it runs, the rebuild itself takes what was free.
    gate = ask() or disk_closed(index, policy, facts)
    if gate:
        return Outcome(step=step, verdict=Verdict.SKIP, message=f"not begun: {gate}", seconds=elapsed())
    with watching(session, ask) as reasons:
        try:
            session.execute(statements.statement([step], policy, facts.server_version_num))
            ended = None
        except psycopg.Error as error:
            ended = error
    return _judged(session, cleaner, step, index, ended, reasons, elapsed())


def _judged(
    session: Session,
    cleaner: Cleaner,
    step: Step,
    index: Index,
    ended: psycopg.Error | None,
    reasons: list[str],
    seconds: float,
) -> Outcome:
    if ended is not None and lost(ended):
        raise ended
    stopped = stopping.stop_requested()
    if stopped:
        with cleaner() as fresh:
            left = _drop(fresh, _leftovers(fresh, index.table_oid), _DROP_WHEN_STOPPED_SECONDS)
    else:
        left = _drop(session, _leftovers(session, index.table_oid), _DROP_SECONDS)
    if ended is not None:
        cancelled = isinstance(ended, psycopg.errors.QueryCanceled)
        by = reasons[0] if reasons else "the run was stopped" if stopped else "by another session"
        said = f"cancelled: {by}"
        message = said if cancelled else " ".join(str(ended).split())
        verdict = Verdict.WARN if cancelled else Verdict.FAIL
        return Outcome(step=step, verdict=verdict, message=f"{message}{left and '; '}{left}", seconds=seconds)
    row = _state(session, index)
    if row is None and not left:
        return Outcome(step=step, verdict=Verdict.INFO, message="was rebuilt, and is gone since", seconds=seconds)
    if row is None or not row[2] or left:
        message = left or "is not valid after its rebuild; look at the server's log"
        return Outcome(step=step, verdict=Verdict.FAIL, message=message, seconds=seconds)
    size = int(cast(int, row[0]))
    message = f"{index.size_bytes} bytes before, {size} after"
    return Outcome(step=step, verdict=Verdict.OK, message=message, seconds=seconds)


def baseline(session: Session, index: Index) -> Baseline | None:
    """What the index that was built just now needs for a row; None when it holds none or is gone."""
    row = _state(session, index)
    if row is None or not row[1]:
        return None
    size, rows, oid = (int(cast(int, row[place])) for place in (0, 1, 3))
    return Baseline(oid=oid, fillfactor=index.fillfactor, bytes_per_row=size / rows, day=f"{utc_now():%Y-%m-%d}")


def _state(session: Session, index: Index) -> tuple[object, ...] | None:
    """Bytes, rows and validity of what has the index's name now; None when nothing has."""
    return session.execute(queries.load("index_state"), {"schema": index.schema_name, "name": index.name}).fetchone()


def _leftovers(session: Session, table_oid: int) -> list[tuple[str, str]]:
    rows = session.execute(queries.load("leftovers"), {"table_oid": table_oid}).fetchall()
    return [(str(schema), str(name)) for schema, name in rows]


def _drop(session: Session, names: list[tuple[str, str]], seconds: float) -> str:
    """Drop them; what could not be dropped in time is said, with the command."""
    _set(session, "statement_timeout", f"{max(1, int(seconds * 1000))}ms")
    try:
        for schema, name in names:
            statement = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name))
            try:
                session.execute(statement)
            except psycopg.errors.QueryCanceled:
                return f"its leftover waits for an old transaction; later: {statement.as_string(session)}"
            except psycopg.Error as error:
                if lost(error):
                    raise
                said = " ".join(str(error).split())
                return f"its leftover could not be dropped: {said}; as its owner: {statement.as_string(session)}"
    finally:
        _set(session, "statement_timeout", "0")
    return ""


def _set(session: Session, name: str, value: str) -> None:
    session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
