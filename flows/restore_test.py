"""Restore a backup into a sandbox and compare what came back with what was there; keep the receipt."""

from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.errors import ConfigurationError
from tasks.base.run import run_context
from tasks.base.system import Database
from tasks.base.systems import system_of_dumps
from tasks.base.words import CheckResult
from tasks.postgres.restore.dumps import Place, place_of
from tasks.postgres.restore.existing import DumpProof
from tasks.postgres.restore.picked import Pick, prove_picked, try_picked
from tasks.postgres.restore.report import RestoreTestResult, check_of
from tasks.repository.records import Receipt

FLOW = "restore_test"


@task(
    name="prove backup",
    task_run_name="prove {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **_support.RETRIES,
)
def prove_backup(run: _support.Run, database: Database, pick: Pick) -> Receipt:
    """Restore one backup into a sandbox, compare it, and store the receipt. Raises MissingError when there is none."""
    show = _support.progress(f"restore test of {database.name}")
    with run_context(run.run_id, f"{run.system.name}/{database.name}/restore-test"):
        return prove_picked(run.store, run.system, database.name, pick, run.run_id, show)


@task(name="try dump", task_run_name="try {place.url}", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def try_existing(run: _support.Run, place: Place, databases: Sequence[str], pick: Pick) -> DumpProof:
    """Restore one dump that Nightshift did not write into a sandbox, and count what came back."""
    show = _support.progress(f"restore test of {place.url}")
    with run_context(run.run_id, f"{run.system.name}/dumps/restore-test"):
        return try_picked(run.system, place, databases, pick, show)


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def restore_test(system: str = "", databases: tuple[str, ...] = (), pick: Pick = "newest", dumps: str = "") -> Any:
    """Prove backups by restoring them into a sandbox and comparing table by table; nothing of the source is touched.

    Args:
        system: Name of the system, as its file in deployments/systems is called. May be empty for existing dumps.
        databases: Names of the databases to test, empty for all; for existing dumps, whose assertions are asked.
        pick: The newest, or an older one by chance.
        dumps: Empty to test Nightshift's own backups. Else file:///folder or s3://bucket/prefix of dumps that it did
            not write (.dump, .tar, .sql, .sql.gz, .sql.zst, a folder with toc.dat); the last part may hold a *.
    """
    if not system and not dumps:
        raise ConfigurationError("name a system (system=demo), or where dumps lie (dumps=file:///var/backups)")
    place = place_of(dumps) if dumps else None
    with _support.begin(FLOW, system or system_of_dumps(place.url if place else "")) as run:
        chosen = run.databases(databases) if system else []
        targets: list[Place | Database] = [place] if place else [*chosen]
        outcomes = _support.bounded(
            targets,
            1,
            lambda one: (
                try_existing.submit(run, one, databases, pick)
                if isinstance(one, Place)
                else prove_backup.submit(run, one, pick)
            ),
            lambda one, error: _support.failed("restore test", one.url if isinstance(one, Place) else one.name, error),
        )
        limit = run.system.restore_test.rto_seconds
        result = RestoreTestResult(
            **run.facts(),
            checks=tuple(one if isinstance(one, CheckResult) else check_of(one, limit) for one in outcomes),
            receipts=tuple(one for one in outcomes if isinstance(one, Receipt)),
            dumps=tuple(one for one in outcomes if isinstance(one, DumpProof)),
        )
        return _support.conclude(run, result)
