"""The forms of the Prefect UI and what is typed in their place: every field says what it is, none shows null."""

import json

import pytest

from deployments.cli import _parameters
from deployments.flow_runner import check_parameters, known_flows


@pytest.mark.parametrize("name", known_flows())
def test_every_field_of_a_form_has_a_title_and_a_description_and_no_null(name):
    schema = check_parameters(name, {"system": "demo"}).parameters
    assert next(iter(schema.properties)) == "system"
    for key, field in schema.properties.items():
        assert field["title"], key
        assert field.get("description", "").endswith("."), f"{key}: write it into the flow's docstring, under Args"
        assert "null" not in json.dumps(field), f"{key}: a form shows null as a choice; give it an empty default"
        assert "type" in field, key
        assert key in schema.required or "default" in field, key


@pytest.mark.parametrize("name", known_flows())
def test_every_flow_says_in_one_sentence_what_it_does(name):
    said = check_parameters(name, {"system": "demo"}).description.partition("\n\nArgs:")[0]
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("review", ["1f2e3d4c", "12345678", "12e45678", "01234567"])
def test_the_id_of_a_run_is_taken_from_the_terminal_as_it_stands(review):
    typed = _parameters(["system=demo", f"sign_off={review}", "decision=approve", "remind=false"])
    flow = check_parameters("access_review", typed)
    assert flow.validate_parameters(typed)["sign_off"] == review
    assert typed["remind"] is False, "the run is named by it"


def test_numbers_of_the_terminal_are_read_by_the_types_of_the_flow():
    typed = _parameters(["system=demo", "minutes=7", "pids=[4711]", "asked_by=007"])
    read = check_parameters("query_termination", typed).validate_parameters(typed)
    assert (read["minutes"], read["pids"], read["asked_by"]) == (7.0, (4711,), "007")
