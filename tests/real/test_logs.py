"""What a real server logs as csvlog and jsonlog, with auto_explain, is found by the review, and no literal with it."""

import shutil
import time
from datetime import timedelta

import psycopg
import pytest

from deployments.demo.servers import free_port
from flows.performance_review import performance_review
from tasks.base import stopping
from tasks.base.clock import utc_now
from tasks.base.logs import LogPolicy
from tasks.logs.slow_statements import slow_statements
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder
from tests.real.conftest import write_system

OPTIONS = {
    "fsync": "off",
    "logging_collector": "on",
    "log_destination": "csvlog,jsonlog",
    "log_directory": "log",
    "log_timezone": "UTC",
    "log_min_duration_statement": "20ms",
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "20ms",
    "auto_explain.log_analyze": "on",
}
SLOW = "SELECT count(*), 'planted-literal' FROM generate_series(1, 300000) n WHERE n::text <> 'planted-literal'"


@pytest.fixture(scope="module")
def logging_server():
    """A server with a log of its own: text plans in one session, JSON plans in another."""
    binaries, folder = embedded_binaries(), server_folder(None)
    assert binaries is not None
    stopping.reset()
    server = LocalServer(binaries, folder, free_port(), "postgres")
    try:
        server.create("UTF8", "C.UTF-8", OPTIONS)
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
            session.execute(SLOW)
            session.execute("SET auto_explain.log_format = json")
            session.execute(SLOW.replace("count", "sum").replace("(*)", "(n)"))
            session.execute("SELECT count(*) FROM generate_series(1, %s) n WHERE n::text <> %s", [300000, "planted-1"])
        yield server
    finally:
        stopping.reset()
        server.stop()
        shutil.rmtree(folder)


def reading(server, ending):
    until = utc_now() + timedelta(hours=1)
    return slow_statements(LogPolicy(postgres=(f"{server.data}/log/*.{ending}",)), until - timedelta(days=1), until)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_each_statement_is_read_once_with_its_plan_and_without_its_literals(logging_server, ending):
    for _ in range(50):  # the collector writes a moment after the statement has ended
        if len((found := reading(logging_server, ending)).statements) >= 3:
            break
        time.sleep(0.1)
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


def test_the_review_finds_a_statement_that_only_the_log_shows(logging_server, tmp_path, monkeypatch):
    folder, place = tmp_path / "systems", tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
    logs = {"postgres": [f"{logging_server.data}/log/*.csv"]}
    write_system(folder, logging_server.dsn("postgres"), place, "age1x", logs=logs)
    result = performance_review("acme", return_state=True)
    assert result.name == "With warnings", result.message
    (report,) = place.glob("acme/reports/performance_review/*/logged_statements.csv")
    assert "SELECT count(*), ? FROM generate_series" in report.read_text()
    assert report.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    everything = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert b"logged statements" in everything
    assert b"planted" not in everything
