"""System files: all valid, documented, and refused with one sentence when they are wrong."""

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from deployments.configuration_docs import PAGE, page
from tasks.base.errors import ConfigurationError
from tasks.base.systems import DEFAULT_FOLDER, known_systems, load_system, read_system

SYSTEMS = ("demo", "fraiseql", "myproject-nexa", "nexus-cos", "nexus-platform", "operations-manual")
VALID = {
    "name": "acme",
    "databases": [{"name": "shop", "dsn": "service=shop"}],
    "repository": {"url": "file:///var/backups"},
}


def test_the_page_is_current():
    assert PAGE.read_text() == page(), "write it anew: python -m deployments.configuration_docs"


def test_all_five_runbooks_and_the_demo_have_a_file():
    assert tuple(known_systems()) == SYSTEMS


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_schedule_names_a_flow_that_takes_its_parameters(name):
    for schedule in load_system(name).schedules:
        flow = load_flow_from_entrypoint(f"{DEFAULT_FOLDER.parents[1]}/flows/{schedule.flow}.py:{schedule.flow}")
        flow.validate_parameters({"system": name, **schedule.parameters})
        if "dry_run" in flow.parameters.properties:
            assert "dry_run" in schedule.parameters, f"{schedule.slug} must say dry_run"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"retentoin": {}}, "retentoin: unknown key"),
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        ({"timezone": "Europe"}, "'Europe' is no time zone"),
        ({"databases": [{"name": "shop", "dsn": "host=db password=planted-1"}]}, "must hold no password"),
        ({"databases": [{"name": "shop", "dsn": "service=a", "password": "planted-1"}]}, "write a reference"),
        ({"repository": {"url": "ftp://x"}}, "write file:///absolute/path or s3://bucket/prefix"),
        ({"repository": {"url": "file:///"}}, "write file:///absolute/path or s3://bucket/prefix"),
        ({"repository": {"url": "file:///a%00b"}}, "write file:///absolute/path or s3://bucket/prefix"),
        ({"repository": {"url": "s3:///x"}}, "write file:///absolute/path or s3://bucket/prefix"),
        ({"schedules": [{"flow": "database_backup", "slug": "x", "cron": "0 0 2 * * *"}]}, "has 6 fields"),
        ({"schedules": [{"flow": "database_backup", "slug": "x", "cron": "0 2 1 * 1"}]}, "cron takes that as OR"),
        (
            {"schedules": [{"flow": "x", "slug": "x", "timezone": "Mars"}]},
            "schedules.0.timezone: 'Mars' is no time zone",
        ),
        ({"name": "other"}, "file and name must agree"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_without_the_secret(tmp_path, change, sentence):
    path = tmp_path / "acme.yaml"
    path.write_text(yaml.safe_dump(VALID | change))
    with pytest.raises(ConfigurationError) as refused:
        read_system(path)
    assert sentence in str(refused.value)
    assert "planted-1" not in str(refused.value)


def test_the_only_database_that_is_wrong_is_not_said_to_be_missing(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(yaml.safe_dump(VALID | {"databases": [{"name": "shop", "dns": "service=a"}]}))
    with pytest.raises(ConfigurationError) as refused:
        read_system(path)
    assert "databases.0.dns: unknown key" in str(refused.value)
    assert "at least 1" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("repository: {url: file:///b}\n", r"the key 'repository' stands twice, in line \d+, column 1;"),
        ("backup: {recipients: [a], recipients: [planted-1]}\n", "the key 'recipients' stands twice"),
        ("backup: " + "[" * 5000, "nested too deep"),
        ("restore_test: {deadline_seconds: .inf}\n", r"'\.inf' is no number to reckon with, in line \d+, column 34;"),
        ("backup: {deadline_seconds: .NaN}\n", r"'\.NaN' is no number"),
    ],
)
def test_yaml_that_says_less_than_it_seems_is_refused(tmp_path, more, sentence):
    path = tmp_path / "acme.yaml"
    path.write_text(yaml.safe_dump(VALID) + more)
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        read_system(path)
    assert "planted-1" not in str(refused.value)


def test_an_unknown_system_names_the_known_ones():
    with pytest.raises(ConfigurationError, match="known are: demo, fraiseql"):
        load_system("frayseql")
