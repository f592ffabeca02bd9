"""Flows by name: what they take, and one run here. Imported only after that run's Prefect settings are in place."""

import logging
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import get_state_result

from tasks.base.errors import ConfigurationError, NightshiftError
from tasks.base.system import System
from tasks.base.words import FlowResult

FLOWS = Path(__file__).resolve().parents[1] / "flows"


def known_flows() -> list[str]:
    """The names of all flows."""
    return sorted(path.stem for path in FLOWS.glob("[a-z]*.py"))


def check_parameters(name: str, parameters: dict[str, object]) -> Any:
    """The flow of that name, when it takes these parameters. Raises ConfigurationError that says what is wrong."""
    if name not in known_flows():
        raise ConfigurationError(f"unknown flow '{name}'; known are: {', '.join(known_flows())}")
    flow: Any = load_flow_from_entrypoint(f"{FLOWS / name}.py:{name}")
    missing = [key for key in flow.parameters.required or () if key not in parameters]
    if missing:
        raise ConfigurationError(f"{name} needs {', '.join(missing)}; write {missing[0]}=…")
    # Prefect logs what it then raises as well.
    logging.getLogger("prefect.flows").setLevel(logging.CRITICAL)
    try:
        flow.validate_parameters(parameters)
    except (ParameterTypeError, SignatureMismatchError, TypeError) as error:
        raise ConfigurationError(f"{name} does not take these parameters: {' '.join(str(error).split())}") from None
    return flow


def wrong_schedules(system: System) -> list[str]:
    """What is wrong with the flows, parameters and times of a system's schedules, a sentence each."""
    wrong = []
    for schedule in system.schedules:
        place = f"{schedule.flow} {schedule.slug}"
        try:
            check_parameters(schedule.flow, {"system": system.name, **schedule.parameters})
            if schedule.cron:
                CronSchedule(cron=schedule.cron, timezone=schedule.timezone or system.timezone)
        except NightshiftError as error:
            wrong.append(f"{place}: {error}")
        except ValueError:
            wrong.append(f"{place}: '{schedule.cron}' is no cron; write such as '0 2 * * *'")
    return wrong


def run_here(flow: Any, parameters: dict[str, object]) -> FlowResult:
    """Run a flow to its end and return its result. Raises the flow's own error when it fails."""
    # This run's own server listens for no heartbeats, and to end their thread costs up to a second.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        returned: Any = flow(**parameters)
    result = get_state_result(returned) if isinstance(returned, State) else returned
    if not isinstance(result, FlowResult):
        raise ConfigurationError(f"{flow.name} returned no result")
    return result
