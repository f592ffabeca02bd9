"""Vacuum, analyze and rebuild what needs it, inside the maintenance window: first the plan, then exactly that."""

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from pydantic import Field

from flows import _support
from tasks.base.clock import utc_now
from tasks.base.errors import RefusedError
from tasks.base.maintenance import Opening, opening
from tasks.base.run import run_context
from tasks.base.system import Database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.lock import database_lock
from tasks.postgres.maintain import history
from tasks.postgres.maintain.carry_out import Planned, carry_out, checks_of, make_plan
from tasks.postgres.maintain.report import MaintenanceResult, Row, rows_of, summary
from tasks.postgres.maintain.rest import Rest

FLOW = "database_maintenance"
# What a task hands to the flow: checks, and the rows of the plan with their outcomes.
Found = tuple[list[CheckResult], list[Row]]


def _planned(run: _support.Run, database: Database) -> Planned:
    baselines = history.baselines(run.store, run.system.name, database.name)
    return make_plan(database, run.system.maintenance, run.run_id, baselines)


@task(
    name="plan maintenance",
    task_run_name="plan {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **_support.RETRIES,
)
def plan_database(run: _support.Run, database: Database) -> Found:
    """The checks and the plan of one database; nothing is changed."""
    planned = _planned(run, database)
    return checks_of(database.name, planned), rows_of(
        run.store, run.system.name, database.name, run.run_id, planned.steps
    )


@task(
    name="maintain database",
    task_run_name="maintain {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **_support.RETRIES,
)
def maintain_database(run: _support.Run, database: Database, until: Opening) -> Found:
    """Plan and carry out; a second try plans again what the first one left."""
    policy, store, system = run.system.maintenance, run.store, run.system.name
    with (
        run_context(run.run_id, f"{system}/{database.name}/maintenance"),
        database_lock(database, "maintenance", run.run_id, policy.on_lock, policy.lock_wait_seconds),
    ):
        former, undone = history.left_undone(store, system, database.name)
        planned = _planned(run, database)
        history.keep_plan(store, system, database.name, run.run_id, planned.steps)
        rest = Rest(until, history.Rates(store, system, database.name))
        with history.Diary(store, system, database.name, run.run_id) as diary:
            built = carry_out(database, policy, run.run_id, planned, rest, diary)
        history.keep_baselines(store, system, database.name, run.run_id, built)
    checks = checks_of(database.name, planned)
    if undone and former != run.run_id:
        message = f"{len(undone)} steps of run {former} were left when it was killed; the new plan holds what they need"
        checks.append(CheckResult(name="resumed", target=database.name, verdict=Verdict.INFO, message=message))
    return checks, rows_of(run.store, run.system.name, database.name, run.run_id, planned.steps)


def _until(run: _support.Run, minutes: int) -> Opening:
    """The opening that this run may use. Raises RefusedError outside of one."""
    now = utc_now()
    if minutes:
        return Opening(start=now, end=now + timedelta(minutes=minutes))
    found = opening(run.system.maintenance.windows, now, run.system.timezone)
    if found is None:
        raise RefusedError(
            f"no maintenance window of '{run.system.name}' is open now; wait for it, see its plan with dry_run=true, "
            f"or give this run its time: nightshift run {FLOW} system={run.system.name} dry_run=false minutes=60"
        )
    return found


def _outcome(database: Database, future: PrefectFuture[Found], dry_run: bool) -> Found:
    try:
        checks, rows = future.result()
    except Exception as error:  # noqa: BLE001 - the mishap of one must not end the others
        return [_support.failed("maintenance", database.name, error)], []
    return [*checks, *summary(database.name, rows, dry_run=dry_run)], rows


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def database_maintenance(
    system: str,
    databases: tuple[str, ...] = (),
    dry_run: bool = True,
    minutes: Annotated[int, Field(ge=0, le=24 * 60)] = 0,
) -> Any:
    """Freeze, vacuum, analyze and rebuild what needs it, inside the maintenance window.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        databases: Names of the databases to maintain; empty for all of the system.
        dry_run: Only show the plan; switch it off to carry it out.
        minutes: 0 to keep to the system's window; else this run may take so long from now on.
    """
    with _support.begin(FLOW, system) as run:
        until = None if dry_run else _until(run, minutes)
        outcomes = _support.bounded(
            run.databases(databases),
            1,
            lambda database: (
                maintain_database.submit(run, database, until) if until else plan_database.submit(run, database)
            ),
            lambda database, future: _outcome(database, future, dry_run),
        )
        result = MaintenanceResult(
            **run.facts(),
            checks=tuple(check for checks, _ in outcomes for check in checks),
            rows=tuple(row for _, rows in outcomes for row in rows),
            dry_run=dry_run,
        )
        return _support.conclude(run, result)
