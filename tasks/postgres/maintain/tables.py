"""Freezing, vacuum and analyze of one table after the other, in parallel sessions, until the window closes."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import cast

import psycopg

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
from tasks.postgres.maintain.session import Session, maintaining


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
        said: list[str] = []
        session.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
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
                    said.clear()
                    diary.add(_maintain(session, step, policy, rest, said))


def _maintain(session: Session, step: Step, policy: MaintenancePolicy, rest: Rest, said: list[str]) -> Outcome:
    elapsed = stopwatch()
    try:
        session.execute(statements.statement(step, policy, session.info.server_version))
    except psycopg.errors.QueryCanceled:
        stopping.raise_if_stopped()
        reason = rest.over() or "another session cancelled it"
        return Outcome(step=step, verdict=Verdict.WARN, message=f"cancelled: {reason}", seconds=elapsed())
    except psycopg.errors.UndefinedTable:
        return Outcome(step=step, verdict=Verdict.INFO, message="the table is gone", seconds=elapsed())
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        message = " ".join(str(error).split())
        return Outcome(step=step, verdict=Verdict.FAIL, message=message, seconds=elapsed())
    skipped = next((text for text in said if text.startswith("skipping ") or "permission denied" in text), "")
    if skipped:
        return Outcome(step=step, verdict=Verdict.SKIP, message=skipped, seconds=elapsed())
    message = _gain(session, step)
    return Outcome(step=step, verdict=Verdict.OK, message=message, seconds=elapsed())


def _gain(session: Session, step: Step) -> str:
    """What the step changed, in numbers before and after."""
    if step.action is Action.ANALYZE:
        return "statistics are fresh"
    try:
        row = session.execute(queries.load("table_state"), {"oid": step.oid}).fetchone()
    except psycopg.errors.QueryCanceled:
        return f"{step.dead_rows} dead rows before; the window closed before they were counted again"
    dead, age = cast(tuple[int, int], row or (0, 0))
    said = f"{step.dead_rows} dead rows before, {dead} after"
    return f"{step.xid_age} transactions old before, {age} after; {said}" if step.action is Action.FREEZE else said
