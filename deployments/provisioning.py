"""`nightshift deploy`: work pool, automations and deployments of a system on the Prefect server, safe to run again."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from deployments.automations import apply_automations
from deployments.flow_runner import wrong_schedules
from deployments.prefect_yaml import OWN_TAG, ROOT, deployment_entries, system_tag
from tasks.base.errors import ConfigurationError, UnreachableError
from tasks.base.system import System
from tasks.base.words import CheckResult, Verdict


def deploy(system: System, directory: Path = ROOT) -> list[CheckResult]:
    """Bring the server to what the system file says; one result per thing, saying what was done to it.

    What is as it should be is not touched, because an update throws away the runs that are scheduled already.
    An operator's pause of a schedule or a deployment is kept. Deployments and schedules that left the file are
    removed. `directory` is where the project lies on the machines that run it.
    Raises ConfigurationError (no server configured, a schedule that cannot run), UnreachableError.
    """
    if wrong := wrong_schedules(system):
        raise ConfigurationError(f"schedules of '{system.name}': {'; '.join(wrong)}")
    with _server() as client:
        done = [_pool(client, system.work_pool)]
        done += [_result("automation", *what) for what in apply_automations(client, system)]
        entries = deployment_entries(system)
        done += [_deployment(client, entry, directory) for entry in entries]
        done += _remove_others(client, system, entries)
    return done


@contextmanager
def _server() -> Iterator[SyncPrefectClient]:
    """The Prefect server; without a configured one Prefect would quietly start another that nobody looks at."""
    url = get_current_settings().api.url
    if not url:
        raise ConfigurationError(
            "no Prefect server is configured; start one with 'prefect server start', "
            "then 'prefect config set PREFECT_API_URL=http://HOST:4200/api'"
        )
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, RuntimeError) as error:
        if isinstance(error, PrefectHTTPStatusError):
            raise UnreachableError(f"the Prefect server at {url} refused: {_answer(error)}") from None
        raise UnreachableError(
            f"no Prefect server answers at {url} ({type(error).__name__}); start it, or correct PREFECT_API_URL"
        ) from None


def _answer(error: PrefectHTTPStatusError) -> str:
    return " ".join(error.response.text.split())[:300]


def _result(name: str, target: str, message: str) -> CheckResult:
    return CheckResult(name=name, target=target, verdict=Verdict.OK, message=message)


def _pool(client: SyncPrefectClient, name: str) -> CheckResult:
    """The work pool; one that is there keeps its type (process, Kubernetes) and its settings."""
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        return _result("work pool", name, "created, type process")
    return _result("work pool", name, f"unchanged, type {pool.type}")


def _deployment(client: SyncPrefectClient, entry: dict[str, Any], directory: Path) -> CheckResult:
    flow: Any = load_flow_from_entrypoint(f"{ROOT / entry['entrypoint']}")
    label = f"{flow.name}/{entry['name']}"
    wanted = {
        "entrypoint": entry["entrypoint"],
        # What follows says of each parameter what the form says beside its field.
        "description": flow.description.partition("\n\nArgs:")[0],
        "tags": entry["tags"],
        "parameters": entry["parameters"],
        "parameter_openapi_schema": flow.parameters.model_dump(mode="json"),
        "enforce_parameter_schema": True,
        "work_pool_name": entry["work_pool"]["name"],
        "job_variables": {"env": entry["job_variables"]["env"] | _own_environment()},
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(directory)}}],
        "concurrency_options": ConcurrencyOptions(collision_strategy=entry["concurrency_limit"]["collision_strategy"]),
    }
    limit, schedules = entry["concurrency_limit"]["limit"], entry["schedules"]
    there = _read_deployment(client, label)
    if there is not None and _as_wanted(there, wanted, limit, schedules):
        return _result("deployment", label, "unchanged")
    client.create_deployment(
        flow_id=client.create_flow(flow),
        name=entry["name"],
        concurrency_limit=limit,
        schedules=[_schedule(schedule, there) for schedule in schedules],
        paused=there.paused if there else None,
        **wanted,
    )
    return _result("deployment", label, "updated" if there else "created")


def _own_environment() -> dict[str, str]:
    """Where the system files lie, when they lie elsewhere than in the project: the runs must read the same ones."""
    folder = os.environ.get("NIGHTSHIFT_SYSTEMS")
    return {"NIGHTSHIFT_SYSTEMS": folder} if folder else {}


def _read_deployment(client: SyncPrefectClient, label: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(label)
    except ObjectNotFound:
        return None


def _as_wanted(
    there: DeploymentResponse, wanted: dict[str, Any], limit: int, schedules: Sequence[dict[str, Any]]
) -> bool:
    crons = [(one.slug, one.schedule) for one in there.schedules]
    found = {(slug, cron.cron, cron.timezone) for slug, cron in crons if isinstance(cron, CronSchedule)}
    return (
        all(getattr(there, key) == value for key, value in wanted.items())
        and there.global_concurrency_limit is not None
        and there.global_concurrency_limit.limit == limit
        and len(there.schedules) == len(schedules)
        and found == {(one["slug"], one["cron"], one["timezone"]) for one in schedules}
    )


def _schedule(schedule: dict[str, Any], there: DeploymentResponse | None) -> DeploymentScheduleCreate:
    """The schedule, paused when the operator has paused it."""
    paused = {one.slug for one in there.schedules if not one.active} if there else set()
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"]),
        slug=schedule["slug"],
        active=schedule["slug"] not in paused,
    )


def _remove_others(client: SyncPrefectClient, system: System, entries: Sequence[dict[str, Any]]) -> list[CheckResult]:
    """Remove the system's deployments that its file does not name any more."""
    wanted = {(entry["entrypoint"], entry["name"]) for entry in entries}
    tags = DeploymentFilterTags(all_=[OWN_TAG, system_tag(system.name)])
    found = client.read_deployments(deployment_filter=DeploymentFilter(tags=tags))
    others = [one for one in found if (one.entrypoint, one.name) not in wanted]
    for one in others:
        client.delete_deployment(one.id)
    return [_result("deployment", one.name, "removed, it left the system file") for one in others]
