"""prefect.yaml is what the demo's system file says; wrong keys, which Prefect ignores in silence, are found here."""

import yaml

from deployments.prefect_yaml import FILE, page

KEYS = {"name", "entrypoint", "tags", "parameters", "work_pool", "concurrency_limit", "schedules"}


def test_it_is_current():
    assert FILE.read_text() == page(), "write it anew: python -m deployments.prefect_yaml"


def test_it_holds_no_key_that_prefect_would_ignore():
    entries = yaml.safe_load(FILE.read_text())["deployments"]
    for entry in entries:
        assert set(entry) == KEYS
        assert all(set(schedule) == {"slug", "cron", "timezone"} for schedule in entry["schedules"])
    assert len({(entry["entrypoint"], entry["name"]) for entry in entries}) == len(entries)
