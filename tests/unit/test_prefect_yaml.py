"""prefect.yaml is what the demo's system file says; wrong keys, which Prefect ignores in silence, are found here."""

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint

from deployments.prefect_yaml import FILE, ROOT, page
from tasks.base.systems import load_system

KEYS = {"name", "entrypoint", "tags", "parameters", "work_pool", "job_variables", "concurrency_limit", "schedules"}
ENTRIES = yaml.safe_load(FILE.read_text())["deployments"]


def test_it_is_current():
    assert FILE.read_text() == page(), "write it anew: python -m deployments.prefect_yaml"


def test_names_are_unique():
    assert len({(entry["entrypoint"], entry["name"]) for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['entrypoint']} {entry['name']}")
def test_prefect_takes_every_key_and_every_parameter(entry):
    assert set(entry) == KEYS
    assert set(entry["work_pool"]) == {"name"}
    assert set(entry["job_variables"]) == {"env"}
    assert set(entry["concurrency_limit"]) == {"limit", "collision_strategy"}
    flow = load_flow_from_entrypoint(f"{ROOT / entry['entrypoint']}")
    flow.validate_parameters(entry["parameters"])
    assert set(entry["parameters"]) <= set(flow.parameters.properties)
    slugs = [schedule["slug"] for schedule in entry["schedules"]]
    name = (flow.fn.__name__, entry["name"])
    (said,) = [one for one in load_system("demo").schedules if (one.flow, f"demo-{one.slug}") == name]
    assert slugs == ([said.slug] if said.cron else []), "what has a cron is scheduled, all else started by hand"
    for schedule in entry["schedules"]:
        assert set(schedule) == {"slug", "cron", "timezone"}
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
