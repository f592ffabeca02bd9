"""Long statements of a database: list them with what they block, and end the ones that a person names."""

from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import _support
from tasks.base.clock import iso, utc_now
from tasks.base.errors import NightshiftError, RefusedError
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.maintain.session import maintaining
from tasks.postgres.maintain.sessions import How, end_session, long_queries, sees_others
from tasks.postgres.maintain.termination import TerminationResult, ended_check, refused_check, said_check
from tasks.repository import journal

FLOW = "query_termination"


@task(name="end long queries", cache_policy=NO_CACHE, persist_result=False)
def end_long_queries(
    run: _support.Run, name: str, seconds: float, pids: Sequence[int], how: How, who: str, dry_run: bool
) -> tuple[list[CheckResult], list[dict[str, Any]]]:
    """List what is over the limit; end the named ones of them, and write down who asked for it and what ended."""
    (database,) = run.databases([name])
    with maintaining(database, run.run_id) as session:
        if not sees_others(session):
            raise RefusedError(f"this role does not see what other sessions of '{name}' do; GRANT pg_monitor to it")
        found = long_queries(session, seconds)
        known = {one.pid: one for one in found}
        checks = [said_check(database.name, one, run.system.name) for one in found if one.pid not in pids]
        ended: dict[int, str] = {}
        for pid in pids:
            one = known.get(pid)
            idle = one is not None and one.state != "active" and how == "cancel"
            if one is None or one.protected or idle or dry_run:
                checks.append(refused_check(database.name, pid, one, seconds, how))
                continue
            ended[pid] = end_session(session, one, how)
            row = {"at": iso(utc_now()), "database": name, "asked_by": who, "how": how, "ended": ended[pid]}
            journal.append(
                run.store,
                run.system.name,
                "terminations",
                [row | one.model_dump(mode="json")],
                f"{run.run_id}-{pid}",
            )
            checks.append(ended_check(database.name, one, ended[pid], how))
    rows = [
        {**one.model_dump(mode="json"), "blocks": " ".join(map(str, one.blocks)), "database": name,
         "ended": ended.get(one.pid, "")}
        for one in found
    ]  # fmt: skip
    return checks, rows


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
        future = end_long_queries.submit(run, name, minutes * 60, pids, how, asked_by, dry_run)
        try:
            checks, rows = future.result()
        except NightshiftError as error:
            checks, rows = [CheckResult(name=FLOW, target=name, verdict=Verdict.FAIL, message=str(error))], []
        if not checks:
            message = f"no statement runs for longer than {minutes:g} minutes"
            checks = [CheckResult(name="long query", target=name, verdict=Verdict.OK, message=message)]
        return _support.conclude(
            run, TerminationResult(**run.facts(), checks=tuple(checks), rows=tuple(rows), dry_run=dry_run)
        )
