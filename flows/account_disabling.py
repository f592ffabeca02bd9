"""Disable the database roles that a signed review of accounts confirmed as inactive."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.access.book import Book
from tasks.access.confirmed import confirmed
from tasks.base.words import CheckResult
from tasks.postgres.disabling import DisablingResult, Request, disable_roles

FLOW = "account_disabling"
Outcome = tuple[list[CheckResult], list[dict[str, Any]]]


@task(name="disable roles", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def disable(run: _support.Run, name: str, roles: list[str], request: Request) -> Outcome:
    """Look at each role once more, then take LOGIN from it."""
    (database,) = run.databases([name])
    return disable_roles(database, roles, run.system, run.store, run.run_id, request)


def _failed(name: str, error: Exception) -> Outcome:
    return [_support.failed("disable", name, error)], []


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def account_disabling(
    system: str, review: str = "", accounts: tuple[str, ...] = (), asked_by: str = "", dry_run: bool = True
) -> Any:
    """Take LOGIN from the roles that the sign-off of a review named as inactive; one that was seen since is refused.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        review: Id of the signed review; empty for the last signed one.
        accounts: Only these of the accounts that it confirmed, as it names them; empty for all.
        asked_by: Who asks for it; it is kept with what was done.
        dry_run: Only show; switch it off to disable them.
    """
    with _support.begin(FLOW, system) as run:
        found = confirmed(Book(run.store, run.system.name), review, accounts)
        request = Request(**found.model_dump(exclude={"names"}), asked_by=asked_by, dry_run=dry_run)
        roles = {one.name: found.of(f"postgres {one.name}") for one in run.system.databases}
        outcomes = _support.bounded(
            [name for name in roles if roles[name]],
            1,
            lambda name: disable.submit(run, name, roles[name], request),
            _failed,
        )
        checks = found.elsewhere([f"postgres {name}" for name in roles])
        result = DisablingResult(
            **run.facts(),
            checks=(*checks, *(check for told, _ in outcomes for check in told)),
            rows=tuple(row for _, listed in outcomes for row in listed),
            dry_run=dry_run,
        )
        return _support.conclude(run, result)
