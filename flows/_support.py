"""What every flow does the same way: begin a run, conclude it, tell how it ended."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import PrefectException, TerminationSignal
from prefect.flows import Flow
from prefect.futures import PrefectFuture
from prefect.runtime import deployment, flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.alerts import webhook
from tasks.base import stopping
from tasks.base.attachments import Attachment
from tasks.base.clock import new_run_id, utc_now
from tasks.base.errors import ConfigurationError, IncompleteError, NightshiftError, may_heal
from tasks.base.secrets import mask
from tasks.base.system import Alerting, Database, System
from tasks.base.systems import find_database, load_system
from tasks.base.words import WITH_WARNINGS, CheckResult, FlowResult, Verdict
from tasks.report.publish import publish
from tasks.repository.opening import open_store
from tasks.repository.store import Store

# Wide enough for any system; how many run at a time is the system's own setting, see `bounded`.
THREADS: Any = ThreadPoolTaskRunner(max_workers=16)
# A cancelled run has ended within ten seconds of the signal.
_END_SECONDS = 9.0
# What a worker's run has for Prefect's farewell to its server. A worker cancels its runs one after the other, and the
# second one ends in time, too.
_FAREWELL_SECONDS = 3.0
Target = TypeVar("Target")
Outcome = TypeVar("Outcome")
Mishap = TypeVar("Mishap")
Result = TypeVar("Result", bound=FlowResult)


class _OneSentence(logging.Filter):
    """Our own errors are whole sentences; the engine's traceback behind them would only hide them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], NightshiftError):
            record.exc_info = record.exc_text = None
        return True


for _engine in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_engine).addFilter(_OneSentence())
# Prefect takes what tasks log into the run's log (PREFECT_LOGGING_EXTRA_LOGGERS), but only from WARNING on by itself.
logging.getLogger("nightshift").setLevel(logging.INFO)


@dataclass(frozen=True)
class Run:
    """One run of one flow: the system it operates, its repository, its id; `keeps` nothing without a system file."""

    flow: str
    system: System
    store: Store
    keeps: bool
    run_id: str
    started_at: datetime

    def databases(self, names: Sequence[str]) -> list[Database]:
        """The named databases, or all when none is named. Raises ConfigurationError for an unknown one."""
        return [find_database(self.system, name) for name in names] or list(self.system.databases)

    def facts(self) -> dict[str, Any]:
        """The fields that every FlowResult has; the run is taken to end now."""
        return {
            "flow": self.flow,
            "system": self.system.name,
            "run_id": self.run_id,
            "started_at": self.started_at,
            "finished_at": utc_now(),
        }


@contextmanager
def begin(flow: str, system: str | System) -> Iterator[Run]:
    """Load the system, unless it is one, and open its repository; nothing of the run goes on when the block is left.

    Tasks that run programs or queries are submitted to THREADS: the main thread only waits, so that a cancel, which
    Prefect raises there, stops them all at once. What a thread still waits for (a retry's delay, a store that does
    not answer) cannot be interrupted; a cancelled process ends without it.
    """
    stopping.reset()
    loaded = system if isinstance(system, System) else load_system(system)
    run = Run(flow, loaded, open_store(loaded.repository), loaded is not system, new_run_id(), utc_now())
    try:
        yield run
    except TerminationSignal as cancelled:
        stopping.end_process_after(_END_SECONDS, exit_code=128 + cancelled.signal)
        stopping.stop_all()
        if "PREFECT__FLOW_RUN_ID" in os.environ:
            stopping.end_process_after(_FAREWELL_SECONDS, exit_code=128 + cancelled.signal)
        raise
    finally:
        stopping.stop_all()


def conclude(run: Run, result: Result, attachments: Sequence[Attachment] = ()) -> State[Result]:
    """Publish; then FAIL and INCOMPLETE raise, all else ends Completed, WARN and SKIP as 'With warnings'.

    `attachments` are the further tables and pictures of the report.
    What was found is said even when the store does not take the report, for which it is then INCOMPLETE.
    """
    try:
        publish(result, run.store if run.keeps else None, procedures_of(run), attachments)
    except NightshiftError as error:
        raise IncompleteError(f"{result.headline}; its report was not stored: {error}") from None
    if result.verdict is Verdict.FAIL:
        raise NightshiftError(result.headline)
    if result.verdict is Verdict.INCOMPLETE:
        raise IncompleteError(result.headline)
    name = WITH_WARNINGS if result.verdict in (Verdict.WARN, Verdict.SKIP) else "Completed"
    return Completed(name=name, message=result.headline, data=result)


def bounded(
    targets: Sequence[Target],
    limit: int,
    submit: Callable[[Target], PrefectFuture[Outcome]],
    mishap: Callable[[Target, Exception], Mishap],
) -> list[Outcome | Mishap]:
    """The outcome of each target, in order, with at most `limit` of them submitted at a time.

    A target whose task raised ends none of the others: its outcome is what `mishap` makes of the error.
    """
    waiting: deque[tuple[Target, PrefectFuture[Outcome]]] = deque()
    outcomes: list[Outcome | Mishap] = []

    def collect() -> None:
        target, future = waiting.popleft()
        try:
            outcomes.append(future.result())
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must not take the others' work from the report
            outcomes.append(mishap(target, error))

    for target in targets:
        if len(waiting) == limit:
            collect()
        waiting.append((target, submit(target)))
    while waiting:
        collect()
    return outcomes


def told(error: Exception) -> str:
    """What ended a target, in words for its report; an error that nobody foresaw is told with its type."""
    return str(error) if isinstance(error, NightshiftError) else mask(f"{type(error).__name__}: {error}")


def failed(
    name: str, target: str, error: Exception, next_command: str = "", verdict: Verdict = Verdict.FAIL
) -> CheckResult:
    """The line of one target that an error ended."""
    return CheckResult(name=name, target=target, verdict=verdict, message=told(error), next_command=next_command)


def _may_heal(_task: Any, _run: Any, state: State[Any]) -> bool:
    return may_heal(state.result(raise_on_failure=False))


# For tasks that talk to servers and stores: backoff and jitter, only for what may heal.
RETRIES: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [30, 120],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _may_heal,
}


def progress(description: str) -> Callable[[float, str], None]:
    """A progress artifact of this run; the function that moves it takes the percent and what is being done.

    It is moved in steps of five, and when another thing is done. A server that does not answer stops no work for it.
    """
    artifact: Any = create_progress_artifact(progress=0.0, description=description)
    shown: tuple[float, str] = (0.0, "")

    def show(percent: float, doing: str) -> None:
        nonlocal shown
        if percent >= min(100.0, shown[0] + 5) or doing != shown[1]:
            shown = (percent, doing)
            with suppress(httpx.HTTPError, PrefectException):
                update_progress_artifact(artifact, percent, f"{description}{': ' if doing else ''}{doing}")

    return show


def procedures_of(run: Run) -> tuple[str, ...]:
    """The runbook's procedures that this run's deployment (SYSTEM-SLUG) fulfils; none for an ad-hoc run."""
    slug = str(deployment.name or "").removeprefix(f"{run.system.name}-")
    for schedule in run.system.schedules:
        if schedule.flow == run.flow and schedule.slug == slug:
            return schedule.procedures
    return ()


def run_name(flow: str) -> Any:
    """A function that names flow runs FLOW SYSTEM TARGET for Prefect's `flow_run_name`."""

    def name() -> str:
        parameters = flow_run.parameters
        targets = [parameters["dumps"]] if parameters.get("dumps") else parameters.get("databases")
        targets = targets or parameters.get("credentials") or [parameters.get("into") or "all"]
        plan = " (plan only)" if parameters.get("dry_run") else ""
        return " ".join(part for part in (flow, parameters.get("system"), *targets) if part) + plan

    return name


def ended_well(_flow: Flow[..., Any], run: FlowRun, _state: State) -> None:
    """Flow hook: ping the heartbeat."""
    webhook.ping_heartbeat(_alerting(run))


def ended_badly(_flow: Flow[..., Any], run: FlowRun, state: State) -> None:
    """Flow hook: send one message with the run's name and its sentence."""
    webhook.send_message(_alerting(run), f"{run.name} ended {state.name}: {state.message}")


# Of a crashed run the server tells, by an automation: a dead process cannot, and two messages are one too many.
HOOKS: dict[str, Any] = {"on_completion": [ended_well], "on_failure": [ended_badly]}


def _alerting(run: FlowRun) -> Alerting:
    """Whom to tell; nobody when the run failed because its system is unknown or its file is wrong."""
    try:
        return load_system(str(run.parameters.get("system"))).alerting
    except ConfigurationError:
        return Alerting()
