"""Long statements of a database: list them with what they block, and end the ones that a person names."""

from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.maintain.sessions import How
from tasks.postgres.maintain.termination import Request, TerminationResult, list_and_end

FLOW = "query_termination"


@task(name="end long queries", cache_policy=NO_CACHE, persist_result=False)
def end_long_queries(run: _support.Run, name: str, request: Request) -> tuple[list[CheckResult], list[dict[str, Any]]]:
    """List what is over the limit; end the named ones of them."""
    (database,) = run.databases([name])
    return list_and_end(database, run.system.name, run.store, run.run_id, request)


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def query_termination(
    system: str,
    database: str = "",
    minutes: Annotated[float, Field(gt=0)] = 5,
    pids: tuple[int, ...] = (),
    how: How = "cancel",
    asked_by: str = "",
    dry_run: bool = True,
) -> Any:
    """List statements that run for too long, and what waits for them; end the sessions that are named.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        database: Name of the database; empty for the first of the system.
        minutes: Sessions that are at one statement, or idle in one transaction, for longer than this.
        pids: Numbers of the sessions to end, from an earlier run's list; empty to end none.
        how: cancel ends the statement, terminate the whole session.
        asked_by: Who asks for it; it is kept with what was ended.
        dry_run: Only show; switch it off to end them.
    """
    with _support.begin(FLOW, system) as run:
        name = database or run.system.databases[0].name
        request = Request(seconds=minutes * 60, pids=pids, how=how, asked_by=asked_by, dry_run=dry_run)
        ((checks, rows),) = _support.bounded(
            [name],
            1,
            lambda name: end_long_queries.submit(run, name, request),
            lambda name, error: ([_support.failed(FLOW, name, error)], []),
        )
        if not checks:
            message = f"no statement runs for longer than {minutes:g} minutes"
            checks = [CheckResult(name="long query", target=name, verdict=Verdict.OK, message=message)]
        return _support.conclude(
            run, TerminationResult(**run.facts(), checks=tuple(checks), rows=tuple(rows), dry_run=dry_run)
        )
