"""The plans that auto_explain logs, in text or JSON, without the literals in their conditions."""

import json
import re
from typing import Any

from tasks.base.statements import hidden

# The first line of a text plan: its node with estimated costs.
_NODE = re.compile(r"^.*\(cost=\d.*$", re.MULTILINE)
# Numbers that are measured or estimated, and never somebody's data.
_FIGURES = re.compile(
    r"\((?:cost=|actual )[a-z=\d. ]*\)|^\s*(?:Buffers|I/O Timings|WAL|Planning|Execution|Heap Fetches|"
    r"Heap Blocks|Sort Method|"
    r"Rows Removed by [A-Za-z ]+|Batches|Buckets|Workers (?:Planned|Launched)|Worker \d+|Index Searches)\b.*$"
)
_QUERY = "Query Text"
_SHOWN = 6000


def query_and_plan(text: str) -> tuple[str, str] | None:
    """Given what stands behind `plan:`, return the statement and the plan, which is without literals.

    None for what is neither a text plan nor a whole JSON one.
    """
    return _from_json(text) if text.lstrip().startswith("{") else _from_text(text)


def _from_text(text: str) -> tuple[str, str] | None:
    # A literal may go over several lines and look like a plan, so that strings are hidden in the whole, first of all.
    text = hidden(text, numbers=False)
    node = _NODE.search(text)
    if node is None or not text.startswith(f"{_QUERY}: "):
        return None
    query = text[len(_QUERY) + 2 : node.start()]
    query = re.split(r"^Query (?:Parameters|Identifier): ", query, maxsplit=1, flags=re.MULTILINE)[0]
    lines = text[node.start() :].splitlines()
    return query.strip(), "\n".join(_without_numbers(line) for line in lines)[:_SHOWN]


def _without_numbers(line: str) -> str:
    parts, place = [], 0
    for figure in _FIGURES.finditer(line):
        parts += [hidden(line[place : figure.start()]), figure[0]]
        place = figure.end()
    return "".join([*parts, hidden(line[place:])])


def _from_json(text: str) -> tuple[str, str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("Plan"), dict):
        return None
    # Parameters and whatever else stands beside the plan is data.
    return str(value.get(_QUERY, "")), json.dumps(_clean(value["Plan"]), indent=1)[:_SHOWN]


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return hidden(value) if isinstance(value, str) else value
