"""Vacuum, analyze and rebuild what needs it, inside the maintenance window: first the plan, then exactly that."""

from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.clock import utc_now
from tasks.base.maintenance import Opening, opening_for
from tasks.base.system import Database
from tasks.postgres.maintain.database import Found, Job, maintain, plan_only
from tasks.postgres.maintain.report import MaintenanceResult

FLOW = "database_maintenance"
TASK: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, **_support.RETRIES}


@task(name="plan maintenance", task_run_name="plan {database.name}", **TASK)
def plan_database(job: Job, database: Database) -> Found:
    """The checks and the plan of one database; nothing is changed."""
    return plan_only(job, database)


@task(name="maintain database", task_run_name="maintain {database.name}", **TASK)
def maintain_database(job: Job, database: Database, until: Opening) -> Found:
    """Plan and carry out; a second try plans again what the first one left."""
    return maintain(job, database, until)


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
        policy = run.system.maintenance
        until = None if dry_run else opening_for(run.system.name, policy, utc_now(), run.system.timezone, minutes)
        job = Job(run.store, run.system.name, policy, run.run_id)
        found = _support.bounded(
            run.databases(databases),
            1,
            lambda database: (
                maintain_database.submit(job, database, until) if until else plan_database.submit(job, database)
            ),
            lambda database, error: Found([_support.failed("maintenance", database.name, error)]),
        )
        result = MaintenanceResult(
            **run.facts(),
            checks=tuple(check for one in found for check in one.checks),
            rows=tuple(row for one in found for row in one.rows),
            tables=tuple(row for one in found for row in one.tables),
            indexes=tuple(row for one in found for row in one.indexes),
            dry_run=dry_run,
        )
        return _support.conclude(run, result, result.attachments)
