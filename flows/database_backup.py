"""Back up the databases of a system: one consistent, compressed, encrypted, fingerprinted copy each."""

from statistics import median
from typing import Any, ClassVar

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows import _support
from tasks.base.system import BackupKind, Database
from tasks.base.systems import find_database
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.postgres.backup.logical import back_up
from tasks.postgres.clock_skew import check_clock
from tasks.repository.catalog import list_backups
from tasks.repository.disk import check_disk
from tasks.repository.manifest import Manifest

FLOW = "database_backup"


class BackupResult(FlowResult):
    """The backups that were made; one check per database."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "verdict",
        "backup_id",
        "raw_bytes",
        "stored_bytes",
        "tables",
        "rows",
        "seconds",
        "message",
    )
    backups: tuple[Manifest, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """One row per database, a failed one without sizes; a clock that is off or a full disk has a row of its own."""
        made = {manifest.database: manifest for manifest in self.backups}
        return [_row(check, made.get(check.target) if check.name == "backup" else None) for check in self.checks]


def _row(check: CheckResult, manifest: Manifest | None) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(BackupResult.csv_header, "")
    row |= {"database": check.target, "verdict": str(check.verdict), "message": check.message}
    if manifest is not None:
        row |= {
            "backup_id": manifest.backup_id,
            "raw_bytes": manifest.file("archive").raw_bytes,
            "stored_bytes": manifest.stored_bytes,
            "tables": manifest.tables,
            "rows": manifest.rows,
            "seconds": manifest.durations_seconds["total"],
        }
    return row


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


def size_check(run: _support.Run, manifest: Manifest) -> CheckResult:
    """OK, or WARN when the stored size is under the floor or under a share of the median of the last seven."""
    stored = manifest.stored_bytes
    known = list_backups(run.store, run.system.name, manifest.database, BackupKind.LOGICAL)
    before = [ref.stored_bytes for ref in known if ref.backup_id != manifest.backup_id][-7:]
    floor = run.system.backup.size_floor_bytes
    limit = max(floor, int(run.system.verification.minimum_size_share * median(before)) if before else 0)
    small = stored < limit
    return CheckResult(
        name="backup",
        target=manifest.database,
        verdict=Verdict.WARN if small else Verdict.OK,
        message=f"kept, but {stored} bytes is less than the {limit} expected; compare with the last backups"
        if small
        else manifest.backup_id,
        value=float(stored),
        unit="bytes",
        threshold=float(limit),
        next_command=f"nightshift backups {run.system.name}" if small else "",
    )


def surroundings(run: _support.Run, made: tuple[Manifest, ...]) -> tuple[CheckResult, ...]:
    """A WARN for what will spoil the next backups: a server's clock that is off (ages go by it), a disk nearly full."""
    limits = run.system.thresholds
    checks = [check_clock(find_database(run.system, manifest.database), limits.clock_skew_seconds) for manifest in made]
    checks += check_disk(run.store, limits.disk_free_share, sum(manifest.stored_bytes for manifest in made))
    return tuple(check for check in checks if check.verdict is not Verdict.OK)


def _outcome(run: _support.Run, database: Database, future: PrefectFuture[Manifest]) -> Manifest | CheckResult:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - the mishap of one must not end the others
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
            lambda database, future: _outcome(run, database, future),
        )
        made = tuple(outcome for outcome in outcomes if isinstance(outcome, Manifest))
        failed = tuple(outcome for outcome in outcomes if isinstance(outcome, CheckResult))
        checks = (*(size_check(run, manifest) for manifest in made), *failed, *surroundings(run, made))
        return _support.conclude(run, BackupResult(**run.facts(), checks=checks, backups=made))
