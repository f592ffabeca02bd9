"""Rotate credentials that are due: first the plan, then a new one, its proof, and what became of the old one."""

from typing import Any
from zoneinfo import ZoneInfo

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _security, _support
from tasks.base.credentials import Rotated
from tasks.base.errors import IncompleteError
from tasks.base.run import run_context
from tasks.base.words import Verdict
from tasks.credentials import ages, command, plan
from tasks.credentials.places import place_of_password
from tasks.postgres.lock import database_lock
from tasks.postgres.rotation.role import RoleJob
from tasks.repository.rotations import Rotations

FLOW = "credential_rotation"
TASK: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, **_support.RETRIES}


@task(name="rotate", task_run_name="rotate {one.credential.name}", **TASK)
def rotate(run: _support.Run, rotations: Rotations, one: plan.Standing, dry_run: bool) -> Rotated:
    """Rotate one credential, or show how; a second try begins with what the first one left."""
    credential, policy = one.credential, run.system.credentials
    (database,) = run.databases([credential.database or run.system.databases[0].name])
    with run_context(run.run_id, f"{run.system.name}/{credential.name}"):
        if credential.role is not None:
            place = place_of_password(run.system.name, credential)
            job = RoleJob(database, credential, place, rotations)
            return job.plan() if dry_run else job.rotate(policy, due=one.is_due)
        if dry_run:
            return Rotated(checks=(command.plan(credential, rotations),))
        with database_lock(database, "rotation", run.run_id, policy.on_lock, policy.lock_wait_seconds):
            return Rotated(checks=(command.rotate(credential, rotations),))


def _failed(run: _support.Run, one: plan.Standing, error: Exception) -> Rotated:
    next_command = plan.command_for(run.system, one.credential)
    verdict = Verdict.INCOMPLETE if isinstance(error, IncompleteError) else Verdict.FAIL
    return Rotated(checks=(_support.failed("rotation", one.credential.name, error, next_command, verdict),))


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def credential_rotation(system: str, credentials: tuple[str, ...] = (), dry_run: bool = True) -> Any:
    """Show which credentials are due by their age, and rotate them: new, stored, proven, or taken back.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        credentials: Names of the credentials to rotate, whatever their age (wildcards); empty for those that are due.
        dry_run: Only show what is due and try what would stand in the way; switch it off to rotate.
    """
    with _support.begin(FLOW, system) as run:
        zone = ZoneInfo(run.system.timezone)
        rotations = Rotations(run.store, run.system.name, run.run_id)
        before = plan.standings(run.system, rotations, credentials)
        wanted = [one for one in before if one.is_to_be_rotated]
        outcomes = _support.bounded(
            wanted,
            1,
            lambda one: rotate.submit(run, rotations, one, dry_run),
            lambda one, error: _failed(run, one, error),
        )
        by_name = {one.credential.name: done for one, done in zip(wanted, outcomes, strict=True)}
        after = before if dry_run else plan.standings(run.system, rotations, credentials)
        ledger, _ = _security.scan_all(run, ages.scannings([one.credential for one in before], rotations, zone))
        result = plan.result_of(run.system, run.facts(), after, by_name, ledger.rows, dry_run=dry_run)
        return _support.conclude(run, result, result.attachments)
