"""Where every resource of a system goes: forecasts, days to each threshold, and what a person should do first."""

from datetime import date, timedelta
from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.errors import ConfigurationError
from tasks.capacity.report import CapacityResult, Report, report
from tasks.repository import samples

FLOW = "capacity_report"


@task(name="forecast", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def make_report(run: _support.Run, until: date, days: int, horizon_days: int, pictures: int) -> Report:
    """Read the samples of the days that end with `until` and forecast every resource; reads only."""
    found = samples.read(run.store, run.system.name, until - timedelta(days=days - 1))
    return report(run.system.name, found, run.system.capacity, until, days, horizon_days, pictures)


def _day(text: str, today: date) -> date:
    """The last day of the period. Raises ConfigurationError for what is no date."""
    try:
        return date.fromisoformat(text) if text else today
    except ValueError:
        raise ConfigurationError(
            f"until={text} is no date; write it as 2026-11-21, or leave it empty for today"
        ) from None


@flow(name=FLOW, flow_run_name=_support.run_name(FLOW), persist_result=False, **_support.HOOKS)
def capacity_report(
    system: str,
    horizon_days: Annotated[int, Field(ge=1, le=3650)] = 90,
    days: Annotated[int, Field(ge=7, le=3650)] = 400,
    until: str = "",
    pictures: Annotated[int, Field(ge=0, le=20)] = 20,
) -> Any:
    """Forecast every resource of the system and say which will be full, when, how sure that is, and what to do.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        horizon_days: How far ahead action is planned, in days; what reaches its threshold by then gets a picture.
        days: How many days of history count.
        until: Last day of the history, such as 2026-11-21; empty for today.
        pictures: At most so many pictures, the most urgent first.
    """
    with _support.begin(FLOW, system) as run:
        made = make_report(run, _day(until, run.started_at.date()), days, horizon_days, pictures)
        result = CapacityResult(**run.facts(), checks=made.checks, rows=made.rows, things=made.things)
        return _support.conclude(run, result, made.attachments)
