"""History of before Nightshift: samples from a CSV file, or the metrics of the system file from Prometheus."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, NightshiftError
from tasks.base.samples import Dated
from tasks.base.words import CheckResult
from tasks.prometheus.samples import metrics_by_day
from tasks.repository import samples
from tasks.repository.samples_csv import Broken, read_csv
from tasks.repository.samples_import import ImportResult, checks_of

FLOW = "capacity_import"
# What a source gave: samples, its broken rows, and what is to be said besides.
History = tuple[list[Dated], list[Broken], list[CheckResult]]


@task(name="read history", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def read_history(run: _support.Run, file: str, days: int) -> History:
    """The samples of the file, or of Prometheus when none is named; nothing is kept yet."""
    if file:
        good, broken = read_csv(Path(file))
        return good, broken, []
    asked = [one for one in run.system.capacity.metrics if one.promql]
    if not asked:
        raise ConfigurationError(
            f"there is nothing to import: name a file, or set prometheus and capacity.metrics by promql of "
            f"'{run.system.name}'"
        )
    found, checks = metrics_by_day(run.system.prometheus, asked, days, utc_now())
    return found, [], checks


@task(name="keep history", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def keep_history(run: _support.Run, found: list[Dated], dry_run: bool) -> int:
    """Write all of it as one object; how many samples of the same days it takes the place of."""
    rows = samples.table_of_dated(found)
    before: int = samples.replaced(run.store, run.system.name, rows)
    if rows.num_rows and not dry_run:
        samples.append(run.store, run.system.name, rows, run.run_id)
    return before


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def capacity_import(
    system: str, file: str = "", days: Annotated[int, Field(ge=1, le=3660)] = 400, dry_run: bool = True
) -> Any:
    """Take in capacity history from a CSV file, or from Prometheus.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        file: Path of the CSV file on the host that runs the flow; empty to ask Prometheus for the system's metrics.
        days: How far back Prometheus is asked, in days; of a file all is taken.
        dry_run: Only say what would be taken; switch it off to keep it.
    """
    with _support.begin(FLOW, system) as run:
        broken: list[Broken] = []
        try:
            found, broken, said = read_history.submit(run, file, days).result()
            replaced = keep_history.submit(run, found, dry_run).result()
            checks = [*said, *checks_of(file or "prometheus", found, broken, replaced)]
        except NightshiftError as error:
            checks = [_support.failed("import", file or "prometheus", error)]
        return _support.conclude(
            run, ImportResult(**run.facts(), checks=tuple(checks), broken=tuple(broken), dry_run=dry_run)
        )
