"""The page of maintenance has a line for every reason that a step, a plan or a run may give for what was not done."""

import ast
import re

import pytest

from deployments.prefect_yaml import ROOT

PAGE = " ".join((ROOT / "docs" / "database_maintenance.md").read_text().split())
MAINTAIN, INSPECT = ROOT / "tasks" / "postgres" / "maintain", ROOT / "tasks" / "postgres" / "inspect"
SPEAKING = [
    *(MAINTAIN / f"{name}.py" for name in ("gates", "rest", "indexes", "tables", "batches", "carry_out", "database")),
    *(MAINTAIN / f"{name}.py" for name in ("plan", "session")),
    *(INSPECT / f"{name}.py" for name in ("bloat", "measuring", "table_bloat", "relations", "age")),
    ROOT / "tasks" / "postgres" / "lock.py",
]
# What is no reason: names of checks, reasons for doing a step, numbers of what was done, and parts of longer sentences.
NO_REASON = {
    "index bloat", "table bloat", "freeze age", "left by a rebuild that was killed", "transactions and", "dead rows",
    "bytes would be free", "rows changed since the last analyze", "never analyzed", "partitions below it changed",
    "bytes before", "dead rows before", "transactions old before", "in one statement", "statistics are fresh",
    "the run was stopped", "maintenance.inspection_seconds are over", "the window closed", "drop leftover",
    "index is estimated only against a build of its own", "past autovacuum_freeze_max_age", "maintenance of",
    "a run that has just ended", "the session that", "the session that locks", "VACUUM (FREEZE",
    "padding between columns", "equal keys may be stored once", "bytes are free or dead (",
}  # fmt: skip


def sentences():
    """The first words of every text in the code of maintenance, and of every reason in the gates' query."""
    found = {}
    for path in SPEAKING:
        for node in ast.walk(ast.parse(path.read_text())):
            for text in texts(node):
                found.setdefault(text, path.name)
    gates = (ROOT / "tasks" / "postgres" / "queries" / "gates.sql").read_text()
    for text in re.findall(r"^SELECT '([^']+)'", gates, re.MULTILINE):
        found.setdefault(first_words(text) or text.strip(), "gates.sql")
    return sorted((text, name) for text, name in found.items() if text not in NO_REASON)


def texts(node):
    """Of values that are said: what is passed on, returned, joined or named; no docstrings and no statements."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        said = [] if name in ("Field", "SQL", "load", "getLogger", "execute") else node.args
        values = [*said, *(key.value for key in node.keywords if key.arg != "description")]
    elif isinstance(node, ast.Return | ast.Assign):
        values = [node.value]
    elif isinstance(node, ast.BoolOp | ast.Tuple):
        values = getattr(node, "values", None) or node.elts
    elif isinstance(node, ast.IfExp):
        values = [node.body, node.orelse]
    else:
        values = []
    for value in values:
        parts = value.values if isinstance(value, ast.JoinedStr) else [value]
        constants = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if words := next(filter(None, map(first_words, constants)), None):
            yield words


def first_words(text):
    words = re.split(r"[;,:]", text.replace("%s", ""))[0].strip(" '")
    return words if len(words.split()) >= 2 else ""


@pytest.mark.parametrize(("text", "said_in"), sentences())
def test_the_page_says_what_to_do_when_it_says_so(text, said_in):
    assert text in PAGE, f"docs/database_maintenance.md has no line for what {said_in} says: {text}"


def test_the_sentences_are_found_at_all():
    texts = {text for text, _ in sentences()}
    assert texts >= {"the window closed at", "nothing measures a", "the free disk of the server is not known from here"}
    assert any("REINDEX CONCURRENTLY breaks" in text for text in texts)
    assert len(texts) > 30
