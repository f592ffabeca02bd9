"""Small tables share a statement: each is still done in its own transaction, and the catalogs prove each of them."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import psycopg

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.words import Verdict
from tasks.postgres import queries
from tasks.postgres.connection import lost
from tasks.postgres.maintain import statements
from tasks.postgres.maintain.history import Outcome
from tasks.postgres.maintain.plan import Action, Step
from tasks.postgres.maintain.session import Session

_MOST_TABLES = 50
# A table that is nearly empty takes its time too.
_LEAST_BYTES = 64 * 1024
# Behind the window's end a query may be cancelled in the place of what ran; a second one comes a quarter second later.
_TRIES = 5


class State(NamedTuple):
    """A table as it is now; `vacuumed` and `analyzed` since the moment that was asked for."""

    dead_rows: int
    xid_age: int
    vacuumed: bool
    analyzed: bool


def batches(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps in their order, neighbours that are small and of one kind together."""
    found: list[list[Step]] = []
    for step in steps:
        last = found[-1] if found else None
        if last and len(last) < _MOST_TABLES and _alike(last[0], step):
            last.append(step)
        else:
            found.append([step])
    return found


def _alike(one: Step, other: Step) -> bool:
    same = (one.action, one.with_analyze) == (other.action, other.with_analyze)
    return same and one.small and other.small and not one.refused and not other.refused


def together(
    session: Session, steps: Sequence[Step], policy: MaintenancePolicy
) -> tuple[list[Outcome], list[Step], float]:
    """Carry out by one statement; return what is proven to be done, the rest of the steps, and the seconds it took.

    A table that is gone fails the statement for all, one that is locked is passed over: those of the rest are to be
    done by themselves, which also tells their reason.
    """
    elapsed = stopwatch()
    (since,) = cast(tuple[object], session.execute("SELECT clock_timestamp()").fetchone())
    try:
        session.execute(statements.statement(steps, policy, session.info.server_version))
    except psycopg.Error as error:
        if lost(error):
            raise
        stopping.raise_if_stopped()
    seconds = elapsed()
    states = read_states(session, steps, since)
    done = [step for step in steps if _proven(step, states.get(step.oid))]
    # What is not proven took some of the time too: it stays out of the shares, which are then rather too long.
    weight = sum(step.size_bytes + _LEAST_BYTES for step in done)
    outcomes = []
    for step in done:
        verdict, said = gain(step, states.get(step.oid))
        share = seconds * (step.size_bytes + _LEAST_BYTES) / weight
        message = f"{said}; one of {len(steps)} in one statement, its time is shared out by size"
        outcomes.append(Outcome(step=step, verdict=verdict, message=message, seconds=share))
    proven = {step.oid for step in done}
    return outcomes, [step for step in steps if step.oid not in proven], seconds


def read_states(session: Session, steps: Sequence[Step], since: object) -> dict[int, State]:
    """What the catalogs know of the tables, by oid; empty when the question was cancelled each time."""
    bound = {"oids": [step.oid for step in steps], "since": since}
    for _ in range(_TRIES):
        try:
            rows = session.execute(queries.load("table_states"), bound).fetchall()
        except psycopg.errors.QueryCanceled:
            stopping.raise_if_stopped()
        else:
            return {int(cast(int, oid)): State(*cast(tuple[int, int, bool, bool], tuple(rest))) for oid, *rest in rows}
    return {}


def _proven(step: Step, state: State | None) -> bool:
    if state is None:
        return False
    vacuumed = state.vacuumed or step.action is Action.ANALYZE
    return vacuumed and (state.analyzed or not (step.with_analyze or step.action is Action.ANALYZE))


def gain(step: Step, state: State | None) -> tuple[Verdict, str]:
    """What the step changed, in numbers before and after; WARN for a freeze that froze nothing."""
    if step.action is Action.ANALYZE:
        return Verdict.OK, "statistics are fresh"
    if state is None:
        return Verdict.OK, f"{step.dead_rows} dead rows before; the window closed before they were counted again"
    said = f"{step.dead_rows} dead rows before, {state.dead_rows} after"
    if step.action is not Action.FREEZE:
        return Verdict.OK, said
    ages = f"{step.xid_age} transactions old before, {state.xid_age} after; {said}"
    stuck = step.xid_age > 0 and state.xid_age >= step.xid_age
    return (Verdict.WARN, f"{ages}; look at what holds back vacuum") if stuck else (Verdict.OK, ages)
