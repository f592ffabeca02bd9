"""Verify the newest backup of each database: present, recent, whole, and listable."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.errors import NightshiftError, UnreachableError
from tasks.base.run import run_context
from tasks.base.system import Database
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.postgres.backup.verification import verify_newest

FLOW = "backup_verification"


class VerificationResult(FlowResult):
    """One check per question about the newest backup of each database."""


def _may_heal(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), UnreachableError)


@task(
    name="verify backup",
    task_run_name="verify {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[30, 120],
    retry_jitter_factor=0.5,
    retry_condition_fn=_may_heal,
)
def verify_backup(run: _support.Run, database: Database) -> list[CheckResult]:
    """Verify the newest backup of one database; reads only, and records the verdict beside the backup."""
    with run_context(run.run_id, f"{run.system.name}/{database.name}/verification"):
        return verify_newest(run.system, database, run.store, run.run_id)


@flow(name=FLOW, flow_run_name=_support.run_name(FLOW), persist_result=False, **_support.HOOKS)
def backup_verification(system: str, databases: list[str] | None = None) -> Any:
    """Verify that the newest backup of each database is present, recent, whole and listable.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        databases: Names of the databases to verify; empty for all of the system.
    """
    with _support.begin(FLOW, system) as run:
        checks: list[CheckResult] = []
        for database in run.databases(databases):
            try:
                checks += verify_backup(run, database)
            except NightshiftError as error:
                checks.append(
                    CheckResult(name="verification", target=database.name, verdict=Verdict.FAIL, message=str(error))
                )
        return _support.conclude(run, VerificationResult(**run.facts(), checks=tuple(checks)))
