"""One database of a maintenance run: its plan alone, or the plan and all that was done of it."""

from dataclasses import dataclass, field

from tasks.base.clock import utc_now
from tasks.base.collector import collector_paused
from tasks.base.maintenance import MaintenancePolicy, Opening
from tasks.base.run import run_context
from tasks.base.system import Database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.inspect.age import age_check
from tasks.postgres.inspect.table_bloat import measured_baselines
from tasks.postgres.lock import database_lock
from tasks.postgres.maintain import history
from tasks.postgres.maintain.carry_out import Planned, carry_out, checks_of, make_plan
from tasks.postgres.maintain.report import Row, figures_of, rows_of, summary
from tasks.postgres.maintain.rest import Rest
from tasks.postgres.maintain.statements import methods_of
from tasks.repository.store import Store


@dataclass(frozen=True)
class Job:
    """Where a run keeps what it knows, and how much it may do."""

    store: Store
    system: str
    policy: MaintenancePolicy
    run_id: str


@dataclass(frozen=True)
class Found:
    """What a run knows of one database at its end."""

    checks: list[CheckResult]
    rows: list[Row] = field(default_factory=list)
    tables: list[Row] = field(default_factory=list)
    indexes: list[Row] = field(default_factory=list)


def plan_only(job: Job, database: Database) -> Found:
    """The checks and the plan; nothing is changed."""
    rates = history.Rates(history.read_outcomes(job.store, job.system, database.name))
    planned = make_plan(database, job.policy, job.run_id, history.baselines(job.store, job.system, database.name))
    checks = age_check(database.name, planned.inspection.tables)
    rows = rows_of(database.name, planned.steps, _methods(job, planned), rates, [])
    return _found(job, database, planned, rows, checks, dry_run=True)


def maintain(job: Job, database: Database, until: Opening) -> Found:
    """Plan and carry out under the database's lock; a second try plans again what the first one left."""
    store, system, policy, run_id = job.store, job.system, job.policy, job.run_id
    with (
        run_context(run_id, f"{system}/{database.name}/maintenance"),
        database_lock(database, "maintenance", run_id, policy.on_lock, policy.lock_wait_seconds),
    ):
        outcomes = history.read_outcomes(store, system, database.name)
        former, undone = history.left_undone(store, system, database.name, outcomes)
        baselines = history.baselines(store, system, database.name)
        planned = make_plan(database, policy, run_id, baselines, until.rest_seconds(utc_now()))
        history.keep_plan(store, system, database.name, run_id, planned.steps)
        rates = history.Rates(outcomes)
        with history.Diary(store, system, database.name, run_id) as diary:
            built = carry_out(database, policy, run_id, planned, Rest(until, rates), diary)
        measured = measured_baselines(planned.inspection.tables, planned.table_bloat)
        history.keep_baselines(store, system, database.name, run_id, {**measured, **built})
    checks = []
    if undone and former != run_id:
        message = f"{len(undone)} steps of run {former} were left when it was killed; the new plan holds what they need"
        checks = [CheckResult(name="resumed", target=database.name, verdict=Verdict.INFO, message=message)]
    done = [*(row for row in outcomes if row["run_id"] == run_id), *diary.rows]
    rows = rows_of(database.name, planned.steps, _methods(job, planned), rates, done)
    return _found(job, database, planned, rows, checks, dry_run=False)


def _methods(job: Job, planned: Planned) -> list[str]:
    return methods_of(planned.steps, job.policy, planned.inspection.facts.server_version_num)


@collector_paused()
def _found(
    job: Job, database: Database, planned: Planned, rows: list[Row], checks: list[CheckResult], *, dry_run: bool
) -> Found:
    # Of what was not read nobody can say that nothing needs to be done.
    said = summary(database.name, rows, dry_run=dry_run) if rows or not planned.inspection.unread else []
    return Found(
        [*checks_of(database.name, planned, job.policy), *checks, *said],
        rows,
        figures_of(database.name, planned.inspection.tables, planned.table_bloat),
        figures_of(database.name, planned.inspection.indexes, planned.bloat),
    )
