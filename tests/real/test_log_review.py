"""What a real server logs of refused logins is found by the daily check, with the rest of the platform's logs."""

import json

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, TaskRunFilter, TaskRunFilterName

from flows.security_check import security_check
from tasks.base.clock import utc_now
from tasks.base.errors import IncompleteError
from tests.real.conftest import write_system
from tests.real.logging_server import logging_server, pattern_of, until_logged


@pytest.fixture(scope="module")
def refusing_server():
    """A server that refused ada twelve times, and nobody who exists once, before it let ada in."""
    with logging_server(log_connections="on") as server:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
            session.execute("CREATE ROLE ada LOGIN PASSWORD 'unseen7f3a-right'")
            rules = server.data / "pg_hba.conf"
            rules.write_text("host all ada,nobody 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
            session.execute("SELECT pg_reload_conf()")
            with pytest.raises(psycopg.errors.UndefinedTable):
                session.execute("SELECT 'unseen7f3a-literal' FROM unseen7f3a_nowhere")
        dsn = server.dsn("postgres")
        for number in range(13):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(dsn, user="ada" if number < 12 else "nobody", password="unseen7f3a-wrong")
        psycopg.connect(dsn, user="ada", password="unseen7f3a-right").close()
        yield server


def check(server, tmp_path, monkeypatch, *sources):
    folder, place = tmp_path / "systems", tmp_path / "repository"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
    logs = {"sources": list(sources), "settle_seconds": 0}
    write_system(folder, server.dsn("postgres"), place, "age1x", log_review=logs)
    return security_check("acme")


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_refused_logins_of_a_real_server_are_told_by_user_and_source(refusing_server, ending, tmp_path, monkeypatch):
    folder = refusing_server.data / "log"
    until_logged(
        lambda: any("connection authorized: user=ada" in path.read_text() for path in folder.glob(f"*.{ending}"))
    )
    source = {"name": "postgres", "kind": "postgres", "files": [pattern_of(refusing_server, ending)]}
    result = check(refusing_server, tmp_path, monkeypatch, source)
    said = {line.name: line for line in result.checks if line.target == "postgres"}
    assert said["failed logins"].verdict == "WARN"
    assert "13 failed logins of 2 users from 1 sources; 13 from 127.0.0.1; 12 of ada" in said["failed logins"].message
    assert said["errors"].message.endswith("1 times: 42P01 relation <text> does not exist")
    assert [(row["rule"], row["severity"], row["status"]) for row in result.rows] == [
        ("login-after-failures", "HIGH", "open"),
    ]
    place = tmp_path / "repository"
    (report,) = place.glob("acme/reports/security_check/*/failed_logins.csv")
    assert report.read_text().splitlines()[1:] == ["postgres,ada,127.0.0.1,12", "postgres,nobody,127.0.0.1,1"]
    with get_client(sync_client=True) as client:
        assert client.read_task_runs(task_run_filter=TaskRunFilter(name=TaskRunFilterName(any_=["log postgres"])))
        told = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["security-check-acme"]))
        )
    artifacts = json.dumps([str(artifact.data) for artifact in told])
    assert "12 of ada" in artifacts
    everything = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
    assert not any(b"unseen7f3a" in data for data in everything)
    assert "unseen7f3a" not in artifacts


def test_a_log_that_cannot_be_trusted_fails_alone_and_makes_the_run_red(refusing_server, tmp_path, monkeypatch):
    (tmp_path / "access.log").write_text("garbage\n" * 9)
    moment = f"{utc_now():%d/%b/%Y:%H:%M:%S +0000}"
    (tmp_path / "other.log").write_text(f'192.0.2.1 - - [{moment}] "GET /.env HTTP/1.1" 200 5 "-" "-"\n')
    sources = [
        {"name": name, "kind": "access", "files": [f"{tmp_path}/{name}.log"]} for name in ("access", "other", "nowhere")
    ]
    with pytest.raises(IncompleteError, match="access: 9 of 9 lines say nothing"):
        check(refusing_server, tmp_path, monkeypatch, *sources)
    (report,) = (tmp_path / "repository").glob("acme/reports/security_check/*/result.json")
    result = json.loads(report.read_text())
    verdicts = {(line["target"], line["name"]): line["verdict"] for line in result["checks"]}
    assert verdicts["access", "log"] == "INCOMPLETE"
    assert verdicts["nowhere", "log"] == "SKIP"
    assert verdicts["other", "known attacks"] == "WARN"
    assert [row["location"] for row in result["rows"]] == ["/.env"]
