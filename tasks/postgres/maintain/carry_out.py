"""Making a maintenance plan of one database, and carrying it out."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf

from pydantic import Field

from tasks.base import stopping
from tasks.base.collector import collector_paused
from tasks.base.errors import RefusedError
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.system import Database
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres.inspect.bloat import Baseline, Bloat, suspect
from tasks.postgres.inspect.budget import Budget
from tasks.postgres.inspect.measuring import measure_suspects
from tasks.postgres.inspect.relations import Index, Inspection, ServerFacts, inspect, read_indexes
from tasks.postgres.inspect.table_bloat import measure_tables, table_checks
from tasks.postgres.maintain import indexes, statements
from tasks.postgres.maintain.history import Diary, Outcome
from tasks.postgres.maintain.plan import ON_TABLES, Action, Step, plan
from tasks.postgres.maintain.rest import Rest
from tasks.postgres.maintain.session import Session, maintaining
from tasks.postgres.maintain.tables import maintain_tables


class Planned(Frozen):
    """A plan with what it was made from."""

    inspection: Inspection
    bloat: dict[int, Bloat] = Field(description="By index oid, of the indexes that are large enough to matter")
    table_bloat: dict[int, Bloat] = Field(description="By table oid, of the tables that are large enough to matter")
    steps: tuple[Step, ...]


@collector_paused()
def make_plan(
    database: Database,
    policy: MaintenancePolicy,
    run_id: str,
    baselines: Mapping[str, Baseline],
    rest_seconds: float = inf,
) -> Planned:
    """Inspect the database and plan; changes nothing. Raises UnreachableError, RefusedError (a standby, rights).

    The inspection keeps to its own limit and to the rest of the window.
    """
    own = "maintenance.inspection_seconds are over; raise them"
    reason = own if policy.inspection_seconds <= rest_seconds else "the window closed"
    budget = Budget(min(policy.inspection_seconds, rest_seconds), reason)
    gently = {"lock_timeout": "5s"}
    with maintaining(database, run_id, gently) as session, maintaining(database, run_id, gently) as beside:
        inspection = inspect(session, beside, database.name, policy.held_back_transactions, budget)
        if inspection.facts.standby:
            raise RefusedError(f"'{database.name}' is a standby, which its primary maintains; set lock_dsn to that")
        large = [
            index for index in inspection.indexes if index.valid and index.size_bytes >= max(1, policy.index_bytes)
        ]
        suspected = suspect(session, large, baselines, inspection.facts.block_bytes, budget)
        bloat = measure_suspects(session, inspection.facts, large, suspected, policy.index_waste_share, budget)
        large_tables = [
            table for table in inspection.tables if table.kind != "p" and table.size_bytes >= max(1, policy.table_bytes)
        ]
        tables = measure_tables(session, inspection.facts, large_tables, baselines, policy.table_waste_share, budget)
    steps = plan(inspection, bloat, policy)
    return Planned(inspection=inspection, bloat=bloat, table_bloat=tables, steps=steps)


def checks_of(database: str, planned: Planned, policy: MaintenancePolicy) -> list[CheckResult]:
    """What the inspection found beside the plan: its own checks, tables that are air, and what is not known."""
    by_oid = {index.oid: index for index in planned.inspection.indexes}
    unknown = [
        CheckResult(
            name="index bloat",
            target=f"{database} {by_oid[oid].label}",
            verdict=Verdict.SKIP if by_oid[oid].method in ("btree", "hash") else Verdict.INFO,
            message=bloat.reason,
        )
        for oid, bloat in planned.bloat.items()
        if bloat.waste_share is None
    ]
    if planned.inspection.unread:
        message = f"tables or indexes were not read: {planned.inspection.unread}"
        unknown.append(CheckResult(name="inspection", target=database, verdict=Verdict.INCOMPLETE, message=message))
    tables = table_checks(database, planned.inspection.tables, planned.table_bloat, policy.table_waste_share)
    return [*planned.inspection.checks, *tables, *unknown]


def carry_out(
    database: Database, policy: MaintenancePolicy, run_id: str, planned: Planned, rest: Rest, diary: Diary
) -> dict[str, Baseline]:
    """Do what was planned, until the window closes; return the baselines of the indexes that were built anew.

    Raises UnreachableError when the server goes away: plan again, the diary holds what was done.
    """
    with maintaining(database, run_id) as session:
        known = {index.oid: index for index in planned.inspection.indexes}
        for step in _of(planned, Action.DROP_LEFTOVER):
            over = rest.over()
            if over:
                diary.add(Outcome(step=step, verdict=Verdict.SKIP, message=over))
            else:
                diary.add(indexes.drop_leftover(session, step, known.get(step.oid), rest))
        on_tables = [step for step in planned.steps if step.action in ON_TABLES]
        if on_tables:
            maintain_tables(database, policy, run_id, on_tables, rest, diary)
            session.execute(statements.FLUSH)
        once = statements.database_statistics(session.info.server_version)
        if once is not None and any(step.action is not Action.ANALYZE for step in on_tables) and not rest.over():
            session.execute(once)
        stopping.raise_if_stopped()
        steps = _of(planned, Action.REINDEX)
        if not steps:
            return {}
        cleaner = partial(maintaining, database, run_id, stoppable=False)
        with maintaining(database, run_id) as watcher:
            return _rebuild(session, watcher, cleaner, policy, planned.inspection.facts, steps, rest, diary)


def _rebuild(
    session: Session,
    watcher: Session,
    cleaner: indexes.Cleaner,
    policy: MaintenancePolicy,
    facts: ServerFacts,
    steps: Sequence[Step],
    rest: Rest,
    diary: Diary,
) -> dict[str, Baseline]:
    built: dict[str, Baseline] = {}
    # Sizes as they are now: hours may have passed since the plan.
    now: dict[int, Index] = {index.oid: index for index in read_indexes(session)}
    for step in steps:
        stopping.raise_if_stopped()
        index = now.get(step.oid)
        outcome = indexes.rebuild(session, watcher, cleaner, step, index, policy, facts, rest)
        diary.add(outcome)
        if outcome.verdict is Verdict.OK and index is not None and outcome.changed:
            known = indexes.baseline(session, index)
            # Of a small build the fixed pages would be counted as rows, and hide what it grows to.
            if known and known.bytes_per_row * index.rows >= policy.index_bytes:
                built[index.label] = known
    stopping.raise_if_stopped()
    return built


def _of(planned: Planned, action: Action) -> list[Step]:
    return [step for step in planned.steps if step.action is action]
