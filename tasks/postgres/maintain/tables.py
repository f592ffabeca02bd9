"""Freezing, vacuum and analyze of one table after the other, in parallel sessions, until the window closes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import Empty, SimpleQueue

import psycopg
from psycopg.errors import Diagnostic

from tasks.base import stopping
from tasks.base.clock import stopwatch, utc_now
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.connection import lost
from tasks.postgres.maintain import statements
from tasks.postgres.maintain.batches import batches, gain, read_states, together
from tasks.postgres.maintain.gates import watching
from tasks.postgres.maintain.history import Diary, Outcome
from tasks.postgres.maintain.plan import Action, Step
from tasks.postgres.maintain.rest import Rest
from tasks.postgres.maintain.session import Session, maintaining


def maintain_tables(
    database: Database, policy: MaintenancePolicy, run_id: str, steps: Sequence[Step], rest: Rest, diary: Diary
) -> None:
    """Carry out the steps in their order, so many at a time; each outcome goes into the diary as it comes.

    Raises UnreachableError when a session is lost: what is not in the diary is to be planned again.
    """
    waiting: SimpleQueue[list[Step]] = SimpleQueue()
    for batch in batches(steps):
        waiting.put(batch)
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
    waiting: SimpleQueue[list[Step]],
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
                    steps = waiting.get_nowait()
                except Empty:
                    return
                if len(steps) > 1 and not rest.refuses(*steps):
                    done, steps, seconds = together(session, steps, policy)
                    diary.add_together(done, seconds)
                for step in steps:
                    stopping.raise_if_stopped()
                    warnings.clear()
                    diary.add(_alone(session, step, policy, rest, warnings))


def _alone(session: Session, step: Step, policy: MaintenancePolicy, rest: Rest, warnings: list[str]) -> Outcome:
    reason = step.refused or rest.refuses(step)
    if reason:
        return Outcome(step=step, verdict=Verdict.SKIP, message=reason)
    return _maintain(session, step, policy, rest, warnings)


def _maintain(session: Session, step: Step, policy: MaintenancePolicy, rest: Rest, warnings: list[str]) -> Outcome:
    elapsed, since = stopwatch(), utc_now()
    try:
        session.execute(statements.statement([step], policy, session.info.server_version))
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
    state = read_states(session, [step], since).get(step.oid) if step.action is not Action.ANALYZE else None
    verdict, message = gain(step, state)
    return Outcome(step=step, verdict=verdict, message=message, seconds=elapsed())
