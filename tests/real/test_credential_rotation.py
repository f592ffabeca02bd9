"""Rotation on a real server that logs everything: proven, taken back, mended, and its secrets nowhere."""

import shutil
from pathlib import Path

import psycopg
import pytest
from prefect.client.orchestration import get_client
from psycopg import sql

from deployments.demo.servers import free_port
from flows.credential_rotation import credential_rotation
from tasks.base import stopping
from tasks.base.words import Verdict
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder
from tests.real.conftest import change_system, write_system
from tests.real.test_no_secret import process_list_watched

OLD = "planted-old-password"
LOUD = {
    "fsync": "off",
    "logging_collector": "on",
    "log_destination": "csvlog,stderr",
    "log_directory": "log",
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_min_error_statement": "debug5",
    "log_transaction_sample_rate": "1",
    "debug_print_parse": "on",
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.track": "all",
    "auto_explain.log_min_duration": "0",
}
RULES = """
host all app,narrow,keeper 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local all all trust
"""


@pytest.fixture(scope="module")
def loud_server():
    """A server that logs all that it can, and asks app, narrow and keeper for their passwords."""
    binaries, folder = embedded_binaries(), server_folder(None)
    assert binaries is not None
    stopping.reset()
    server = LocalServer(binaries, folder, free_port(), "postgres")
    try:
        server.create("UTF8", "C.UTF-8", LOUD)
        (server.data / "pg_hba.conf").write_text(RULES)
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
            session.execute("CREATE DATABASE shop")
            session.execute("CREATE EXTENSION pg_stat_statements")
            session.execute("CREATE ROLE app LOGIN; CREATE ROLE open LOGIN PASSWORD 'x'; CREATE ROLE narrow LOGIN")
            session.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{OLD}'".encode())
        yield server
    finally:
        stopping.reset()
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def place(tmp_path):
    """Where the password of app is kept."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "password").write_text(OLD)
    return tmp_path / "kept" / "password"


@pytest.fixture
def rotating(loud_server, tmp_path, place, monkeypatch):
    """The system acme with the role app, whose password is OLD; the function that changes its entry."""
    stopping.reset()
    (tmp_path / "systems").mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path / "systems"))
    write_system(tmp_path / "systems", loud_server.dsn("shop"), tmp_path / "repository", "age1none")
    set_password(loud_server, "app", OLD)

    def entry(**changes):
        one = {"name": "app", "kind": "role", "max_age_days": 30, "role": "app"}
        one["place"] = {"kind": "file", "path": str(place)}
        change_system(credentials={"entries": [one | changes]})

    entry()
    return entry


def set_password(server, role, password):
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
        session.execute("SET log_statement = none; SET log_min_duration_statement = -1; SET debug_print_parse = off")
        session.execute("SET log_transaction_sample_rate = 0; SET track_activities = off")
        session.execute("SET pg_stat_statements.track = none")
        session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))


def verifier(server, role="app"):
    with psycopg.connect(server.dsn("postgres")) as session:
        return session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchone()[0]


def logs_in(server, password, role="app"):
    try:
        psycopg.connect(server.dsn("shop"), user=role, password=password).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            return False
        raise
    return True


def everything(server, *folders):
    """All that was written: the server's logs, its statistics, the folders; Prefect's artifacts."""
    with psycopg.connect(server.dsn("postgres")) as session:
        statements = [str(row[0]) for row in session.execute("SELECT query FROM pg_stat_statements").fetchall()]
    with get_client(sync_client=True) as client:
        artifacts = [str(artifact.data) for artifact in client.read_artifacts(limit=200)]
    files = {str(path): path for folder in folders for path in Path(folder).rglob("*") if path.is_file()}
    texts = {name: path.read_bytes().decode("latin-1") for name, path in files.items()}
    return {**texts, "pg_stat_statements": "\n".join(statements), "artifacts": "\n".join(artifacts)}


def test_a_rotated_password_is_proven_kept_and_nowhere_else(rotating, loud_server, place, tmp_path, caplog, capfd):
    before = verifier(loud_server)
    with psycopg.connect(loud_server.dsn("shop"), user="app", password=OLD, application_name="till") as session:
        plan = credential_rotation("acme")
        assert plan.dry_run, "a plan by default"
        assert "age is unknown" in plan.headline
        assert (place.read_text(), verifier(loud_server)) == (OLD, before), "a plan changes nothing"
        plan = credential_rotation("acme", credentials=("a*",))
        assert "1 sessions of it go on" in plan.rows[0]["outcome"]
        assert verifier(loud_server) == before
        with process_list_watched() as arguments:
            done = credential_rotation("acme", credentials=("app",), dry_run=False)
        assert session.execute("SELECT 1").fetchone() == (1,), "an old session goes on"
    assert done.verdict is Verdict.OK, done.headline
    assert [row["application_name"] for row in done.sessions] == ["till"]
    new = place.read_text().strip()
    assert len(new) >= 32
    assert logs_in(loud_server, new)
    assert not logs_in(loud_server, OLD)
    assert verifier(loud_server).startswith("SCRAM-SHA-256$4096:")
    assert [path.name for path in place.parent.iterdir()] == ["password"]
    assert place.stat().st_mode & 0o777 == 0o640 & place.stat().st_mode & 0o777
    # It is young now, by the journal; the next run has nothing to do.
    again = credential_rotation("acme", dry_run=False)
    assert (again.rows[0]["state"], again.rows[0]["known_by"]) == ("fresh", "the journal")
    assert place.read_text().strip() == new
    places = everything(loud_server, tmp_path / "repository", loud_server.data / "log")
    places |= {"the run's log": caplog.text, "the terminal": "".join(capfd.readouterr()), "results": repr((plan, done))}
    places["the process list"] = b"\n".join(arguments).decode("latin-1")
    secret = {"the password": new, "the old verifier": before, "the new verifier": verifier(loud_server)}
    assert any("nightshift:rotation" in text for text in places.values()), "the server logged this very session"
    assert any("set_config" in text for text in places.values())
    for what, value in secret.items():
        for piece in (value, value.split("$")[-1].split(":")[0]):
            assert [name for name, text in places.items() if piece in text] == [], what
