"""The house: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED_ROOMS = {"base", "repository"}
CODE = sorted([*ROOT.glob("tasks/**/*.py"), *ROOT.glob("flows/*.py")])


def imports(path: Path) -> list[str]:
    """All modules that a file imports, with the names taken from packages."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_meet_only_in_a_flow(path):
    room = path.relative_to(ROOT).parts
    for module in imports(path):
        parts = module.split(".")
        if room[0] == "tasks":
            assert parts[0] not in ("flows", "deployments"), f"tasks must not import {module}"
            if parts[0] == "tasks" and len(room) > 2:
                allowed = {room[1], "base"} | (SHARED_ROOMS if room[1] != "base" else set())
                assert parts[1] in allowed, f"room {room[1]} must not import {module}"
        else:
            assert parts[0] != "deployments", f"flows must not import {module}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("flows/[a-z]*.py")), ids=lambda path: path.stem)
def test_a_flow_file_holds_one_flow_and_no_file_format(path):
    tree = ast.parse(path.read_text())
    flows = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "flow"
    ]
    assert flows == [path.stem]
    foreign = {"sh", "boto3", "psycopg", "subprocess", "zstandard", "pyrage", "csv"}
    assert not foreign & {module.split(".")[0] for module in imports(path)}


def test_only_the_clock_reads_the_clock():
    for path in CODE:
        if path.name == "clock.py":
            continue
        text = path.read_text()
        assert "datetime.now(" not in text, path
        assert "time.time(" not in text, path


def test_what_is_tested_is_what_is_installed():
    def pins(name):
        lines = (ROOT / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line.split(" ")[0] and not line.startswith(" ")}

    assert pins("requirements.lock") <= pins("requirements-dev.lock"), "write both anew: make lock"
