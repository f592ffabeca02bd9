"""What everything takes up today: databases, host, repository, clusters, services; one row a resource and day."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.clock import utc_now
from tasks.base.errors import MissingError
from tasks.base.run import run_context
from tasks.base.samples import Sample, Sampled, SampleResult, rates
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.host.samples import sample_host
from tasks.platform.cluster import sample_cluster
from tasks.platform.compose import sample_compose
from tasks.postgres.samples import sample_database
from tasks.prometheus.samples import sample_metrics
from tasks.repository import samples

FLOW = "capacity_sample"
_PARTS_AT_A_TIME = 4


@dataclass(frozen=True)
class Part:
    """One thing that is sampled by itself."""

    name: str
    take: Callable[[], Sampled]


@task(
    name="sample", task_run_name="sample {part.name}", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES
)
def sample_part(run: _support.Run, part: Part) -> Sampled:
    """The samples of one part, and what is to be said about it."""
    with run_context(run.run_id, f"{run.system.name}/{part.name}/sample"):
        return part.take()


@task(name="keep samples", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def keep_samples(run: _support.Run, found: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Write the samples and the rates of the counters among them as one object; return both."""
    now, store, system = utc_now(), run.store, run.system.name
    whole = (*found, *rates(found, now, samples.counters(store, system, now)))
    if whole:
        samples.append(store, system, samples.table_of(whole, now), run.run_id)
    samples.compact(store, system)
    return whole


def parts(run: _support.Run) -> list[Part]:
    """Everything that the system file names."""
    policy, first = run.system.capacity, run.system.databases[0].name

    def of_database(database: Database) -> Part:
        metrics = [one for one in policy.metrics if one.sql and (one.database or first) == database.name]
        return Part(database.name, partial(sample_database, database, policy.databases, metrics, run.run_id))

    parts = [of_database(database) for database in run.system.databases]
    parts.append(Part("repository", partial(samples.of_repository, run.store, run.system.name)))
    if policy.host is not None:
        parts.append(Part("host", partial(sample_host, policy.host)))
    asked = [one for one in policy.metrics if one.promql]
    if asked:
        parts.append(Part("prometheus", partial(sample_metrics, run.system.prometheus, asked)))
    parts += [Part(one.name, partial(sample_cluster, one)) for one in policy.clusters]
    parts += [Part(one.name, partial(sample_compose, one)) for one in policy.compose]
    return parts


def _not_sampled(part: Part, error: Exception) -> Sampled:
    verdict = Verdict.SKIP if isinstance(error, MissingError) else Verdict.FAIL
    return Sampled(checks=(_support.failed("sample", part.name, error, verdict=verdict),))


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def capacity_sample(system: str) -> Any:
    """Measure what everything takes up today, and keep it for the capacity report.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
    """
    with _support.begin(FLOW, system) as run:
        outcomes = _support.bounded(
            parts(run), _PARTS_AT_A_TIME, lambda part: sample_part.submit(run, part), _not_sampled
        )
        kept = keep_samples.submit(run, tuple(one for found in outcomes for one in found.samples)).result()
        checks = tuple(check for found in outcomes for check in found.checks)
        return _support.conclude(run, SampleResult(**run.facts(), checks=checks, samples=kept))
