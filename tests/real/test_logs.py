"""What a real server logs as csvlog and jsonlog, with auto_explain, is found by the review, and no literal with it."""

from datetime import timedelta

import psycopg
import pytest

from flows.performance_review import performance_review
from tasks.base.clock import utc_now
from tasks.base.logs import LogPolicy
from tasks.logs.slow_statements import slow_statements
from tests.real.conftest import write_system
from tests.real.logging_server import logging_server, pattern_of, until_logged

OPTIONS = {
    "log_min_duration_statement": "20ms",
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "20ms",
    "auto_explain.log_analyze": "on",
}
SLOW = "SELECT count(*), 'planted-literal' FROM generate_series(1, 300000) n WHERE n::text <> 'planted-literal'"


@pytest.fixture(scope="module")
def slow_server():
    """A server that logged slow statements: text plans in one session, JSON plans in another."""
    with logging_server(**OPTIONS) as server:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
            session.execute(SLOW)
            session.execute("SET auto_explain.log_format = json")
            session.execute(SLOW.replace("count", "sum").replace("(*)", "(n)"))
            session.execute("SELECT count(*) FROM generate_series(1, %s) n WHERE n::text <> %s", [300000, "planted-1"])
        yield server


def reading(server, ending):
    until = utc_now() + timedelta(hours=1)
    return slow_statements(LogPolicy(postgres=(pattern_of(server, ending),)), until - timedelta(days=1), until)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_each_statement_is_read_once_with_its_plan_and_without_its_literals(slow_server, ending):
    # The last one; what else the server took its time for stands there too.
    last = "SELECT count(*) FROM generate_series"
    until_logged(lambda: any(one.statement.startswith(last) for one in reading(slow_server, ending).statements))
    found = reading(slow_server, ending)
    assert found.broken == 0
    texts = {one.statement: one for one in found.statements}
    count = texts["SELECT count(*), ? FROM generate_series(?, …) n WHERE n::text <> ?"]
    total = texts["SELECT sum(n), ? FROM generate_series(?, …) n WHERE n::text <> ?"]
    assert (count.calls, total.calls, count.database) == (1, 1, "postgres")
    assert count.total_ms >= 20
    assert "Function Scan on" in count.plan
    assert "actual time=" in count.plan
    assert '"Node Type": "Function Scan"' in total.plan
    assert "planted" not in found.model_dump_json()


def test_the_review_finds_a_statement_that_only_the_log_shows(slow_server, tmp_path, monkeypatch):
    folder, place = tmp_path / "systems", tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
    logs = {"postgres": [pattern_of(slow_server, "csv")]}
    write_system(folder, slow_server.dsn("postgres"), place, "age1x", logs=logs)
    result = performance_review("acme", return_state=True)
    assert result.name == "With warnings", result.message
    (report,) = place.glob("acme/reports/performance_review/*/logged_statements.csv")
    assert "SELECT count(*), ? FROM generate_series" in report.read_text()
    assert report.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    everything = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert b"logged statements" in everything
    assert b"planted" not in everything
