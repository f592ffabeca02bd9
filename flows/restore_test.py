"""Restore a backup into a sandbox and compare what came back with what was there; keep the receipt."""

import random
from typing import Any, ClassVar, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows import _support
from tasks.base.clock import utc_now
from tasks.base.errors import MissingError, NightshiftError
from tasks.base.orphans import end_orphans
from tasks.base.run import run_context
from tasks.base.system import BackupKind, Database
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.postgres.restore.logical import prove
from tasks.repository.catalog import list_backups, load_manifest, manifest_sha256
from tasks.repository.manifest import BackupRef
from tasks.repository.records import Receipt, add_receipt

FLOW = "restore_test"
Pick = Literal["newest", "random-older"]


class RestoreTestResult(FlowResult):
    """The receipts that were written; one CSV row per rung."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "backup_id",
        "rung",
        "verdict",
        "seconds",
        "message",
        "rto_seconds",
        "rpo_seconds",
        "proven",
    )
    receipts: tuple[Receipt, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """One row per rung of each receipt, then one per database that has none."""
        tested = [_row(receipt, rung) for receipt in self.receipts for rung in receipt.rungs]
        have = {receipt.database for receipt in self.receipts}
        blank: dict[str, object] = dict.fromkeys(self.csv_header, "")
        missing = [
            blank | {"database": check.target, "verdict": str(check.verdict), "message": check.message}
            for check in self.checks
            if check.target not in have
        ]
        return tested + missing


def _row(receipt: Receipt, rung: CheckResult) -> dict[str, object]:
    return {
        "database": receipt.database,
        "backup_id": receipt.backup_id,
        "rung": rung.name,
        "verdict": str(rung.verdict),
        "seconds": rung.duration_seconds,
        "message": rung.message,
        "rto_seconds": receipt.rto_seconds,
        "rpo_seconds": receipt.rpo_seconds,
        "proven": receipt.proven,
    }


def choose(run: _support.Run, database: Database, pick: Pick) -> BackupRef:
    """The newest backup of a database, or one of the older ones by chance. Raises MissingError when there is none."""
    backups = list_backups(run.store, run.system.name, database.name, BackupKind.LOGICAL)
    if not backups:
        raise MissingError(
            f"database '{database.name}' has no backup in {run.store.url}; "
            f"start 'nightshift run database_backup system={run.system.name}'"
        )
    older = backups[:-1] or backups
    return backups[-1] if pick == "newest" else random.choice(older)  # noqa: S311 - a sample, not a secret


@task(name="prove backup", task_run_name="prove {database.name}", cache_policy=NO_CACHE, persist_result=False)
def prove_backup(run: _support.Run, database: Database, pick: Pick) -> Receipt:
    """Restore one backup into a sandbox, compare it, and store the receipt."""
    backup, started = choose(run, database, pick), utc_now()
    manifest = load_manifest(run.store, backup)
    subject = f"{run.system.name}/{database.name}/restore-test"
    end_orphans(subject)
    with run_context(run.run_id, subject):
        proof = prove(run.store, manifest, run.system.restore_test)
    receipt = Receipt(
        backup_id=manifest.backup_id,
        manifest_sha256=manifest_sha256(run.store, manifest.prefix),
        system=run.system.name,
        database=database.name,
        run_id=run.run_id,
        started_at=started,
        finished_at=utc_now(),
        verdict=Verdict.worst([rung.verdict for rung in proof.rungs]),
        proven=proof.proven,
        rungs=proof.rungs,
        rto_seconds=proof.rto_seconds,
        rpo_seconds=(started - manifest.snapshot_at).total_seconds(),
    )
    add_receipt(run.store, receipt)
    return receipt


def _check(run: _support.Run, receipt: Receipt) -> CheckResult:
    limit, rto = run.system.restore_test.rto_seconds, receipt.rto_seconds
    broken = next((rung for rung in receipt.rungs if rung.verdict is receipt.verdict), None)
    verdict, message = receipt.verdict, f"{receipt.backup_id} is {receipt.proven}"
    if receipt.verdict is not Verdict.OK and broken is not None:
        message += f": {broken.name}: {broken.message}"
    elif limit is not None and rto is not None and rto > limit:
        verdict, message = Verdict.WARN, f"{message}, but the restore took {rto:.0f} s, more than {limit:.0f} s"
    return CheckResult(
        name="restore test",
        target=receipt.database,
        verdict=verdict,
        message=message,
        value=rto,
        unit="seconds",
        threshold=limit,
        next_command=f"nightshift receipts {run.system.name}" if verdict is not Verdict.OK else "",
    )


def _outcome(database: Database, future: PrefectFuture[Receipt]) -> Receipt | CheckResult:
    try:
        return future.result()
    except NightshiftError as error:
        return CheckResult(name="restore test", target=database.name, verdict=Verdict.FAIL, message=str(error))


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def restore_test(system: str, databases: list[str] | None = None, pick: Pick = "newest") -> Any:
    """Prove backups by restoring them into a sandbox and comparing table by table; nothing of the source is touched.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        databases: Names of the databases to test; empty for all of the system.
        pick: newest backup of each database, or a random older one.
    """
    with _support.begin(FLOW, system) as run:
        outcomes = _support.bounded(
            run.databases(databases), 1, lambda database: prove_backup.submit(run, database, pick), _outcome
        )
        receipts = tuple(outcome for outcome in outcomes if isinstance(outcome, Receipt))
        checks = tuple(_check(run, one) if isinstance(one, Receipt) else one for one in outcomes)
        return _support.conclude(run, RestoreTestResult(**run.facts(), checks=checks, receipts=receipts))
