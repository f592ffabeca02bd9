"""Maintenance of many tables: of those that together are as large as the archive, and of those of one page each."""

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.measure import Cost, engine, shell
from tasks.postgres.server import LocalServer

TABLES, RELATIONS = 2_000, 20_000
_ROWS = 100
# Of a row in the heap: header, number, line pointer.
_ROW_BYTES = 36


@dataclass(frozen=True)
class Worn:
    """2,000 tables of so many rows in a database; one row of `every` is changed again and again."""

    dbname: str
    rows: int
    every: int


# All that counts is what is done per table.
SMALL = Worn("small", _ROWS, 1)


def filled(size_mb: int) -> Worn:
    """Tables that have that size together, a tenth of it worn."""
    return Worn("filled", size_mb * 1_000_000 // TABLES // _ROW_BYTES, 10)


def maintain(worn: Worn, server: LocalServer, repository: str) -> Cost:
    """Plan and vacuum every table, each of them worn just now, with its statistics; durable at the end, once.

    Raises RuntimeError when the server knows of one that was not done.
    """
    wear(worn, server)
    dsn = server.dsn(worn.dbname)
    cost = engine({"work": "maintain", "repository": repository, "dbname": worn.dbname, "dsn": dsn})
    with psycopg.connect(dsn) as connection:
        (left,) = connection.execute(
            "SELECT count(*) FROM pg_stat_user_tables "
            "WHERE schemaname = 'worn' AND (n_dead_tup > 0 OR n_mod_since_analyze > 0)"
        ).fetchone() or (None,)
    if left != 0:
        raise RuntimeError(f"{left} of {TABLES} tables were left")
    return cost


def vacuumdb(worn: Worn, server: LocalServer, folder: Path, environment: dict[str, str]) -> Cost:
    """The same with vacuumdb, two connections, and the options that ours uses; it waits for the disk at each table."""
    wear(worn, server)
    options = "--analyze -j2 --skip-locked --no-truncate --parallel=2 --buffer-usage-limit=2MB --quiet"
    return shell(f"vacuumdb {options} --schema=worn -d '{server.dsn(worn.dbname)}'", folder, environment)


def inspect(server: LocalServer) -> Cost:
    """Read all that a plan is made from, of a database with 20,000 relations."""
    make(server, "wide", "wide", RELATIONS // 2)
    return engine({"work": "inspect", "dsn": server.dsn("wide")})


def sample(server: LocalServer) -> Cost:
    """The daily sample of a database with 20,000 tables."""
    make(server, "tables", "plain", RELATIONS, indexed=False)
    return engine({"work": "sample", "dsn": server.dsn("tables")})


def wear(worn: Worn, server: LocalServer) -> None:
    """Change rows of every table, so that as many are dead; autovacuum is off for them."""
    make(server, worn.dbname, "worn", TABLES, rows=worn.rows)
    with psycopg.connect(server.dsn(worn.dbname), autocommit=True) as connection:
        connection.execute(
            f"DO $$ BEGIN FOR i IN 1..{TABLES} LOOP "  # noqa: S608 - a number of ours
            f"EXECUTE format('UPDATE worn.t%s SET n = n + {worn.every} WHERE mod(n, {worn.every}) = 0', i); "
            "COMMIT; END LOOP; END $$"
        )
        connection.execute("SELECT pg_stat_force_next_flush()")


def make(
    server: LocalServer, dbname: str, schema: str, tables: int, *, rows: int = _ROWS, indexed: bool = True
) -> None:
    """A database with so many tables of so many rows, each with an index or not; one that is there is kept."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (dbname,)).fetchone():
            return
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))
    with psycopg.connect(server.dsn(dbname), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pgstattuple")
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        index = f"EXECUTE format('CREATE INDEX ON {schema}.t%s (n)', i); " if indexed else ""
        connection.execute(
            f"DO $$ BEGIN FOR i IN 1..{tables} LOOP "  # noqa: S608 - names and numbers of ours
            f"EXECUTE format('CREATE TABLE {schema}.t%s WITH (autovacuum_enabled = off) AS "
            f"SELECT n FROM generate_series(1, {rows}) n', i); "
            f"{index}COMMIT; END LOOP; END $$"
        )
