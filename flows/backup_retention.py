"""Delete the backups that no rule keeps; never the newest, the last proven, a held or a needed one."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.words import CheckResult, Verdict
from tasks.repository import catalog, compaction, records, retention
from tasks.repository.manifest import BackupRef
from tasks.repository.retention import Decision
from tasks.repository.retention_report import RetentionResult

FLOW = "backup_retention"


@task(name="plan retention", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def make_plan(run: _support.Run) -> list[Decision]:
    """Decide over every backup of the system; reads only."""
    backups = catalog.list_backups(run.store, run.system.name)
    names = sorted({backup.database for backup in backups})
    return retention.plan(
        backups,
        run.system.retention,
        run.started_at,
        tested={name: records.tested_backups(run.store, run.system.name, name) for name in names},
        held={name: records.held_backup_ids(run.store, run.system.name, name) for name in names},
        dependencies={name: _needed(run, [one for one in backups if one.database == name]) for name in names},
        zone=run.system.timezone,
    )


def _needed(run: _support.Run, backups: list[BackupRef]) -> dict[str, tuple[str, ...]]:
    """What each backup of one database needs, by id; read only for the kinds that may need another."""
    return {
        backup.backup_id: catalog.load_manifest(run.store, backup).depends_on
        for backup in backups
        if retention.needs_manifest(backup)
    }


@task(name="delete backups", cache_policy=NO_CACHE, persist_result=False)
def delete(run: _support.Run, decisions: list[Decision]) -> list[CheckResult]:
    """Delete what the plan does not keep."""
    return retention.carry_out(run.store, decisions)


@task(name="compact history", cache_policy=NO_CACHE, persist_result=False)
def compact_history(run: _support.Run) -> CheckResult:
    """Make each past day of a stream of the journal one object."""
    return compaction.compact_past_days(run.store, run.system.name, run.started_at.date())


@flow(name=FLOW, flow_run_name=_support.run_name(FLOW), persist_result=False, **_support.HOOKS)
def backup_retention(system: str, dry_run: bool = True) -> Any:
    """Delete the backups that no rule of the system keeps.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        dry_run: Only show the plan; switch it off to delete.
    """
    with _support.begin(FLOW, system) as run:
        decisions = make_plan(run)
        doomed = sum(not decision.keep for decision in decisions)
        summary = CheckResult(
            name="plan",
            target=system,
            verdict=Verdict.OK,
            message=f"{len(decisions) - doomed} kept, {doomed} to delete",
            value=float(doomed),
            unit="backups",
        )
        checks = [summary] if dry_run else [summary, *delete(run, decisions), compact_history(run)]
        return _support.conclude(
            run,
            RetentionResult(**run.facts(), checks=tuple(checks), decisions=tuple(decisions), dry_run=dry_run),
        )
