"""Freezing, vacuum and analyze of one table after the other, in parallel sessions, until the window closes."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import cast

import psycopg
from psycopg.errors import Diagnostic

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres import queries
from tasks.postgres.maintain import statements
from tasks.postgres.maintain.gates import watching
from tasks.postgres.maintain.history import Diary, Outcome
from tasks.postgres.maintain.plan import Action, Step
from tasks.postgres.maintain.rest import Rest
from tasks.postgres.maintain.session import Session, lost, maintaining


def maintain_tables(
    database: Database, policy: MaintenancePolicy, run_id: str, steps: Iterable[Step], rest: Rest, diary: Diary
) -> None:
    """Carry out the steps in their order, so many at a time; each outcome goes into the diary as it comes.

    Raises UnreachableError when a session is lost: what is not in the diary is to be planned again.
    """
    waiting: SimpleQueue[Step] = SimpleQueue()
    for step in steps:
        waiting.put(step)
    with ThreadPoolExecutor(max_workers=policy.connections) as sessions:
        work = [
            sessions.submit(copy_context().run, _work, database, policy, run_id, waiting, rest, diary)
            for _ in range(min(policy.connections, waiting.qsize()))
        ]
        for one in work:
            one.result()


def _work(
    database: Database,
    policy: MaintenancePolicy,
    run_id: str,
    waiting: SimpleQueue[Step],
    rest: Rest,
    diary: Diary,
) -> None:
    with maintaining(database, run_id, statements.settings(policy)) as session:
        warnings: list[str] = []

        def hear(notice: Diagnostic) -> None:
            # Whatever language the server speaks: a table that was passed over comes as a warning.
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.message_primary or "")

        session.add_notice_handler(hear)
        # One watcher for all steps: behind the window's end nothing is sent any more that it could cancel.
        with watching(session, rest.over):
            while True:
                stopping.raise_if_stopped()
                try:
                    step = waiting.get_nowait()
                except Empty:
                    return
                reason = step.refused or rest.refuses(step)
                if reason:
                    diary.add(Outcome(step=step, verdict=Verdict.SKIP, message=reason))
                else:
                    warnings.clear()
                    diary.add(_maintain(session, step, policy, rest, warnings))


def _maintain(session: Session, step: Step, policy: MaintenancePolicy, rest: Rest, warnings: list[str]) -> Outcome:
    elapsed = stopwatch()
    try:
        session.execute(statements.statement(step, policy, session.info.server_version))
    except psycopg.errors.QueryCanceled:
        stopping.raise_if_stopped()
        reason = rest.over() or "another session cancelled it"
        return Outcome(step=step, verdict=Verdict.WARN, message=f"cancelled: {reason}", seconds=elapsed())
    except psycopg.errors.UndefinedTable:
        return Outcome(step=step, verdict=Verdict.INFO, message="the table is gone", seconds=elapsed())
    except psycopg.Error as error:
        if lost(error):
            raise
        message = " ".join(str(error).split())
        return Outcome(step=step, verdict=Verdict.FAIL, message=message, seconds=elapsed())
    if warnings:
        return Outcome(step=step, verdict=Verdict.SKIP, message=warnings[0], seconds=elapsed())
    verdict, message = _gain(session, step)
    return Outcome(step=step, verdict=verdict, message=message, seconds=elapsed())


def _gain(session: Session, step: Step) -> tuple[Verdict, str]:
    """What the step changed, in numbers before and after; WARN for a freeze that froze nothing."""
    if step.action is Action.ANALYZE:
        return Verdict.OK, "statistics are fresh"
    try:
        row = session.execute(queries.load("table_state"), {"oid": step.oid}).fetchone()
    except psycopg.errors.QueryCanceled:
        return Verdict.OK, f"{step.dead_rows} dead rows before; the window closed before they were counted again"
    dead, age = cast(tuple[int, int], row or (0, 0))
    said = f"{step.dead_rows} dead rows before, {dead} after"
    if step.action is not Action.FREEZE:
        return Verdict.OK, said
    ages = f"{step.xid_age} transactions old before, {age} after; {said}"
    stuck = step.xid_age > 0 and age >= step.xid_age
    return (Verdict.WARN, f"{ages}; look at what holds back vacuum") if stuck else (Verdict.OK, ages)
