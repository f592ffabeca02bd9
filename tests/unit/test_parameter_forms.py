"""The forms of the Prefect UI: every field says what it is, and none shows a choice between a value and null."""

import json

import pytest

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
