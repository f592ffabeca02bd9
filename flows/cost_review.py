"""What costs money and is not needed: idle databases and tables, oversized limits and volumes, old backups."""

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.words import CheckResult
from tasks.capacity.cost import CostResult, Row, review
from tasks.capacity.histories import histories
from tasks.repository import catalog, samples

FLOW = "cost_review"


@task(name="review costs", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def make_review(run: _support.Run, old_backup_days: int) -> tuple[list[Row], list[CheckResult]]:
    """Read the samples of the idle days and the list of backups, and hold them against the policy; reads only."""
    policy, today = run.system.capacity, run.started_at.date()
    found = samples.read(run.store, run.system.name, today - timedelta(days=policy.idle_days))
    grid = histories(found, today, policy.idle_days + 1)
    backups = catalog.list_backups(run.store, run.system.name)
    return review(run.system.name, grid, backups, policy, run.started_at, old_backup_days)


@flow(name=FLOW, flow_run_name=_support.run_name(FLOW), persist_result=False, **_support.HOOKS)
def cost_review(system: str, old_backup_days: Annotated[int, Field(ge=1, le=3650)] = 90) -> Any:
    """Find what is idle, oversized or old, each with its evidence and what it costs; nothing is changed.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        old_backup_days: Backups older than so many days are summed by database and kind.
    """
    with _support.begin(FLOW, system) as run:
        rows, checks = make_review(run, old_backup_days)
        return _support.conclude(run, CostResult(**run.facts(), checks=tuple(checks), rows=tuple(rows)))
