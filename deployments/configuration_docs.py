"""docs/configuration.md, written from the models: `python -m deployments.configuration_docs`."""

import json
from pathlib import Path
from typing import Any

from tasks.base.system import System

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
_HEAD = """# The system file

One file per system, `deployments/systems/NAME.yaml`. Unknown keys are refused. A *reference* is `env:NAME`,
`file:/path` or `secret:PREFECT-BLOCK`; it is resolved when it is used and never stored.
This page is written from the models by `python -m deployments.configuration_docs`; a test keeps it current.
"""


def page() -> str:
    """The whole page: one table per model, the system itself first."""
    schema = System.model_json_schema()
    models = {"System": schema, **schema["$defs"]}
    return _HEAD + "".join(_section(name, model) for name, model in models.items() if "properties" in model)


def _section(name: str, model: dict[str, Any]) -> str:
    required = set(model.get("required", ()))
    rows = [
        f"| `{key}` | {_type(field)} | {_default(key, field, required)} | {_cell(field.get('description', ''))} |"
        for key, field in model["properties"].items()
    ]
    about = model.get("description", "").splitlines()[0]
    return "\n".join(
        ["", f"## {name}", "", about, "", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[1]
    if "anyOf" in field or "oneOf" in field:
        kinds = [_type(one) for one in field.get("anyOf", field.get("oneOf", ())) if one.get("type") != "null"]
        return " or ".join(kinds)
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "list"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))


def _default(key: str, field: dict[str, Any], required: set[str]) -> str:
    if key in required:
        return "required"
    return f"`{json.dumps(field['default'])}`" if field.get("default") is not None else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
