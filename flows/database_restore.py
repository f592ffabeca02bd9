"""Restore a backup beside what is there: a new database on a real server, compared before it gets its name."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.words import CheckResult
from tasks.postgres.restore.beside import Request, Restored, restore_beside
from tasks.postgres.restore.beside_report import DatabaseRestoreResult, checks_of

FLOW = "database_restore"


@task(name="restore beside", task_run_name="{request.into}", cache_policy=NO_CACHE, persist_result=False)
def restore(run: _support.Run, request: Request) -> Restored:
    """Look whether it can be done; unless only that is asked for, restore, compare, and give the copy its name."""
    show = _support.progress(f"restore of {request.into}")
    return restore_beside(run.store, run.system, request, run.run_id, run.started_at, show)


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def database_restore(
    system: str,
    database: str = "",
    into: str = "",
    backup: str = "",
    server: str = "",
    create_roles: bool = False,
    dry_run: bool = True,
) -> Any:
    """Restore a backup as a new database beside what is there; nothing that exists is ever overwritten.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        database: Whose backup; may be empty for a system with one database.
        into: Name of the new database; one that exists is refused.
        backup: Id of the backup, see 'nightshift backups'; empty for the newest.
        server: libpq connection string of the server, without a password; empty for that of the database itself.
        create_roles: Make the roles that the backup holds and the server lacks; existing ones are never changed.
        dry_run: Only look whether it can be done; switch it off to restore.
    """
    request = Request(
        database=database, into=into, backup=backup, server=server, create_roles=create_roles, dry_run=dry_run
    )
    with _support.begin(FLOW, system) as run:
        name = database or run.system.databases[0].name
        (done,) = _support.bounded(
            [request],
            1,
            lambda request: restore.submit(run, request),
            lambda request, error: _support.failed("restore", request.into or name, error),
        )
        facts = {"database": name, "into": into, "dry_run": dry_run, **run.facts()}
        if isinstance(done, CheckResult):
            return _support.conclude(run, DatabaseRestoreResult(checks=(done,), **facts))
        result = DatabaseRestoreResult(
            checks=checks_of(done), backup_id=done.backup_id, rto_seconds=done.rto_seconds, **facts
        )
        return _support.conclude(run, result)
