"""A server that writes down all that it can, on which passwords are rotated, and what the tests ask it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from prefect.client.orchestration import get_client
from psycopg import sql

from tasks.postgres.server import LocalServer
from tests.real.ending import wait_until
from tests.real.servers import own_server

OLD = "planted-old-password"
LOUD = {
    "logging_collector": "on",
    "log_destination": "csvlog,stderr",
    "log_directory": "log",
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_min_error_statement": "debug5",
    "log_transaction_sample_rate": "1",
    "debug_print_parse": "on",
    # From debug2 on the server logs what it parses, plans and binds.
    "log_min_messages": "debug2",
    "log_duration": "on",
    "log_statement_stats": "on",
    "log_lock_waits": "on",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_error_verbosity": "verbose",
    "pg_stat_statements.track_utility": "on",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_parameter_max_length": "-1",
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.track": "all",
    "auto_explain.log_min_duration": "0",
}
RULES = """
host all app,narrow,keeper 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local all narrow peer
local all all trust
"""


@contextmanager
def loud_postgres() -> Iterator[LocalServer]:
    """The server; it asks app, narrow and keeper for their passwords."""
    with own_server(LOUD, rules=RULES) as server:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
            session.execute("CREATE DATABASE shop")
            session.execute("CREATE EXTENSION pg_stat_statements")
            session.execute("CREATE ROLE app LOGIN; CREATE ROLE open LOGIN PASSWORD 'x'; CREATE ROLE narrow LOGIN")
            session.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{OLD}'".encode())
        yield server


def set_password(server, role, password):
    """Give the role a password without a trace of it."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
        session.execute("SET log_statement = none; SET log_min_duration_statement = -1; SET debug_print_parse = off")
        session.execute("SET log_transaction_sample_rate = 0; SET track_activities = off")
        session.execute("SET pg_stat_statements.track = none")
        session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))


def verifier(server, role="app"):
    """What the server keeps of it."""
    with psycopg.connect(server.dsn("postgres")) as session:
        return session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchone()[0]


def logs_in(server, password, role="app"):
    """Whether the password opens the server; raises for any other reason to be kept out."""
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
        # The collector writes behind the sessions, in their order: what they said before this is in the files then.
        marker = uuid4().hex
        session.execute(f"SELECT '{marker}'".encode())
        for kind in ("csv", "log"):
            wait_until(lambda kind=kind: any(marker in text_of(log) for log in (server.data / "log").glob(f"*.{kind}")))
        statements = [str(row[0]) for row in session.execute("SELECT query FROM pg_stat_statements").fetchall()]
    with get_client(sync_client=True) as client:
        artifacts = [str(artifact.data) for artifact in client.read_artifacts(limit=200)]
    files = {str(path): path for folder in folders for path in Path(folder).rglob("*") if path.is_file()}
    texts = {name: text_of(path) for name, path in files.items()}
    return {**texts, "pg_stat_statements": "\n".join(statements), "artifacts": "\n".join(artifacts)}


def text_of(path):
    return path.read_bytes().decode("latin-1")


def until_gone(dsn, role):
    """Wait until the role has no session: one that was closed is shown until its server process has ended."""
    with psycopg.connect(dsn, autocommit=True) as session:
        sessions = "SELECT 1 FROM pg_stat_activity WHERE usename = %s"
        wait_until(lambda: session.execute(sessions, [role]).fetchone() is None)
