"""What tests of a restore beside what is there share: looking at the server, and starting and hindering a run."""

import csv
import io

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from flows.database_restore import database_restore
from tasks.base.errors import NightshiftError
from tasks.postgres.clients import embedded_binaries
from tests.real.conftest import change_system


def databases(postgres):
    with psycopg.connect(postgres.dsn("postgres")) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def ask(dsn, query, dbname):
    with psycopg.connect(make_conninfo(dsn, dbname=dbname)) as connection:
        return connection.execute(query).fetchone()


def whole_server(postgres):
    """What a plan might change: databases, comments, roles, settings."""
    query = (
        "SELECT array(SELECT d.*::text || coalesce(shobj_description(d.oid, 'pg_database'), '') FROM pg_database d"
        " ORDER BY 1), array(SELECT r.*::text FROM pg_authid r ORDER BY 1),"
        " array(SELECT s.*::text FROM pg_db_role_setting s ORDER BY 1)"
    )
    return ask(postgres.dsn("postgres"), query, "postgres")


def steps(folder):
    """Verdict and message by step, of the newest report."""
    reports = (folder / "acme/reports/database_restore").glob("*/report.csv")
    text = max(reports, key=lambda path: path.stat().st_mtime_ns).read_text()
    return {row["step"]: (row["verdict"], row["message"]) for row in csv.DictReader(io.StringIO(text))}


def refused(match, **parameters):
    """The restore ends red with that sentence; what it says."""
    with pytest.raises(NightshiftError, match=match) as error:
        database_restore("acme", **{"into": "restored", "dry_run": False, **parameters})
    return str(error.value)


def pg_restore_that(does, folder):
    """Client programs whose pg_restore does that first, when it restores; from now on they are those of acme."""
    real = embedded_binaries()
    folder.mkdir()
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        first = f'case "$*" in *--dbname*) {does};; esac\n' if name == "pg_restore" else ""
        (folder / name).write_text(f'#!/bin/sh\n{first}exec {real / name} "$@"\n')
        (folder / name).chmod(0o755)
    change_system(backup={"binaries": str(folder)})
