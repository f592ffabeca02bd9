"""Which statements, indexes and settings make a database slow, and which errors recur; nothing is changed."""

from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.performance import Part
from tasks.base.system import Database
from tasks.logs.error_patterns import review_errors
from tasks.logs.review import review_logs
from tasks.platform import pod_logs
from tasks.postgres.review.report import PerformanceResult
from tasks.postgres.review.server import Review
from tasks.prometheus.trends import review_trends

FLOW = "performance_review"


@task(
    name="review database",
    task_run_name="review {database.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **_support.RETRIES,
)
def review_database(run: _support.Run, database: Database, days: float) -> Part:
    """What the server's own counters say."""
    return Part.joined(Review(run.store, run.system, database, run.run_id, days).parts())


@task(name="review logs", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def review_system_logs(run: _support.Run, days: float) -> Part:
    """The slow statements and the waits for locks that the servers logged."""
    return review_logs(run.system.logs, run.system.name, days, run.system.performance.lock_wait_seconds)


@task(name="review errors", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def review_system_errors(run: _support.Run, days: float) -> Part:
    """The errors in the logs by their kind: what recurs, rises, or is new."""
    return review_errors(run.store, run.system, FLOW, days, pod_logs.fetcher(run.system))


@task(name="review trends", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def review_system_trends(run: _support.Run, days: float) -> Part:
    """How the application's figures moved, as Prometheus has them."""
    return review_trends(run.system.prometheus, run.system.name, days)


def _failed(name: str, error: Exception) -> Part:
    return Part(checks=(_support.failed("performance review", name, error),))


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def performance_review(
    system: str, databases: tuple[str, ...] = (), days: Annotated[float, Field(gt=0, le=366)] = 7
) -> Any:
    """Find slow, slower and new statements, and what else makes a database slow, since the last review.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        databases: Names of the databases to review; empty for all of the system.
        days: Length of the period; it begins at the former review that lies nearest.
    """
    with _support.begin(FLOW, system) as run:
        of_databases = _support.bounded(
            run.databases(databases),
            2,
            lambda database: review_database.submit(run, database, days),
            lambda database, error: _failed(database.name, error),
        )
        of_system = _support.bounded(
            [review_system_logs, review_system_errors, review_system_trends],
            2,
            lambda review: review.submit(run, days),
            lambda _, error: _failed(run.system.name, error),
        )
        found = Part.joined([*of_databases, *of_system])
        result = PerformanceResult(**run.facts(), checks=found.checks, rows=found.rows)
        return _support.conclude(run, result, found.attachments)
