"""Back up the databases of a system: one consistent, compressed, encrypted, fingerprinted copy each."""

from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.system import Database
from tasks.base.systems import find_database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.backup.logical import back_up
from tasks.postgres.backup.report import BackupResult, size_check
from tasks.postgres.clock_skew import check_clock
from tasks.postgres.column_versions import check_clients
from tasks.repository.disk import check_disk
from tasks.repository.manifest import Manifest

FLOW = "database_backup"


@task(
    name="back up database",
    task_run_name="back up {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **_support.RETRIES,
)
def back_up_database(run: _support.Run, database: Database) -> Manifest:
    """Back up one database, with its progress shown in the UI."""
    move = _support.progress(f"{database.name}: share of the database dumped")

    def show(raw_bytes: int, database_bytes: int) -> None:
        # Indexes are not in a dump, so its end comes before 100.
        move(min(99.0, 100.0 * raw_bytes / max(database_bytes, 1)), "")

    manifest = back_up(run.system.name, database, run.system.backup, run.store, run.run_id, show)
    move(100.0, "")
    get_run_logger().info("%s: %s committed, %d bytes stored", database.name, manifest.backup_id, manifest.stored_bytes)
    return manifest


def surroundings(run: _support.Run, made: tuple[Manifest, ...]) -> tuple[CheckResult, ...]:
    """A WARN for what spoils backups: a clock that is off (ages go by it), too old a pg_dump, a disk nearly full."""
    limits = run.system.thresholds
    databases = [find_database(run.system, manifest.database) for manifest in made]
    checks = [check_clock(database, limits.clock_skew_seconds) for database in databases]
    checks += [check_clients(database, run.system.backup) for database in databases]
    checks += check_disk(run.store, limits.disk_free_share, sum(manifest.stored_bytes for manifest in made))
    return tuple(check for check in checks if check.verdict is not Verdict.OK)


def _failed(run: _support.Run, database: Database, error: Exception) -> CheckResult:
    retry = f"nightshift run {FLOW} system={run.system.name} databases={database.name}"
    return _support.failed("backup", database.name, error, retry)


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def database_backup(system: str, databases: tuple[str, ...] = ()) -> Any:
    """Back up the databases of a system into its repository; one that fails does not stop the others.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        databases: Names of the databases to back up; empty for all of the system.
    """
    with _support.begin(FLOW, system) as run:
        outcomes = _support.bounded(
            run.databases(databases),
            run.system.backup.parallel_databases,
            lambda database: back_up_database.submit(run, database),
            lambda database, error: _failed(run, database, error),
        )
        made = tuple(outcome for outcome in outcomes if isinstance(outcome, Manifest))
        failed = tuple(outcome for outcome in outcomes if isinstance(outcome, CheckResult))
        checks = (
            *(size_check(run.store, run.system, manifest) for manifest in made),
            *failed,
            *surroundings(run, made),
        )
        return _support.conclude(run, BackupResult(**run.facts(), checks=checks, backups=made))
