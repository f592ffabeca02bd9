"""Verify the newest backup of each database: present, recent, whole, and listable."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.run import run_context
from tasks.base.system import Database
from tasks.base.words import CheckResult, FlowResult
from tasks.postgres.backup.verification import verify_newest

FLOW = "backup_verification"


class VerificationResult(FlowResult):
    """One check per question about the newest backup of each database."""


@task(
    name="verify backup",
    task_run_name="verify {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **_support.RETRIES,
)
def verify_backup(run: _support.Run, database: Database) -> list[CheckResult]:
    """Verify the newest backup of one database; reads only, and records the verdict beside the backup."""
    with run_context(run.run_id, f"{run.system.name}/{database.name}/verification"):
        return verify_newest(run.system, database, run.store, run.run_id)


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def backup_verification(system: str, databases: tuple[str, ...] = ()) -> Any:
    """Verify that the newest backup of each database is present, recent, whole and listable.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        databases: Names of the databases to verify; empty for all of the system.
    """
    with _support.begin(FLOW, system) as run:
        outcomes = _support.bounded(
            run.databases(databases),
            1,
            lambda database: verify_backup.submit(run, database),
            lambda database, error: [_support.failed("verification", database.name, error)],
        )
        checks = tuple(check for outcome in outcomes for check in outcome)
        return _support.conclude(run, VerificationResult(**run.facts(), checks=checks))
