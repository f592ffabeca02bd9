"""What is known of an index, how, and how far it can be trusted: no kind of it is ever rebuilt without need."""

import re
import subprocess
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tasks.base.clock import new_run_id, utc_now
from tasks.base.maintenance import MaintenancePolicy, Opening
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.maintain import database
from tasks.postgres.maintain.database import Job
from tasks.repository.local import LocalStore
from tests.real.upkeep import SMALL, size, vacuum

pytestmark = pytest.mark.filterwarnings("ignore:Logger 'nightshift")
POLICY = MaintenancePolicy(**SMALL)
# Every kind of index that has pages; 20,000 rows each, of which 60 % go when they are worn.
KINDS = """
CREATE EXTENSION pgstattuple;
CREATE TABLE kinds (id int PRIMARY KEY, word text, few int) WITH (autovacuum_enabled = off);
INSERT INTO kinds SELECT n, md5(n::text), n % 5 FROM generate_series(1, 20000) n;
CREATE INDEX a_partial ON kinds (word) WHERE id % 2 = 1;
CREATE INDEX an_expression ON kinds (upper(word));
CREATE INDEX deduplicated ON kinds (few);
CREATE INDEX including ON kinds (id) INCLUDE (word);
CREATE INDEX half_full ON kinds (word) WITH (fillfactor = 50);
CREATE INDEX "50% ""odd"" name" ON kinds (word DESC);
CREATE INDEX hashed ON kinds USING hash (word);
CREATE INDEX equal_hashed ON kinds USING hash (few);
CREATE INDEX inverted ON kinds USING gin ((ARRAY[word]));
CREATE INDEX placed ON kinds USING gist (point(id, few));
CREATE INDEX spread ON kinds USING spgist (word);
CREATE INDEX ranges ON kinds USING brin (id) WITH (pages_per_range = 1);
CREATE TABLE roomy (id int PRIMARY KEY, word text) WITH (autovacuum_enabled = off, fillfactor = 50);
INSERT INTO roomy SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE INDEX roomy_word ON roomy (word);
CREATE TABLE toasted (id int PRIMARY KEY, page text STORAGE EXTERNAL) WITH (autovacuum_enabled = off);
ALTER TABLE toasted SET (toast.autovacuum_enabled = off);
INSERT INTO toasted SELECT n, repeat('x', 20000) FROM generate_series(1, 800) n;
CREATE TABLE parted (id int, word text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (1) TO (10001) WITH (autovacuum_enabled = off);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10001) TO (20001) WITH (autovacuum_enabled = off);
INSERT INTO parted SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE INDEX parted_word ON parted (word);
CREATE MATERIALIZED VIEW shown AS SELECT * FROM kinds;
CREATE UNIQUE INDEX shown_id ON shown (id);
ANALYZE;
"""
MEASURED = {
    "kinds_pkey", "a_partial", "an_expression", "deduplicated", "including", "half_full", '"50% ""odd"" name"',
    "hashed", "equal_hashed", "roomy_pkey", "roomy_word", "parted_low_word_idx", "parted_high_word_idx", "shown_id",
}  # fmt: skip


UNKNOWN = {
    "inverted": r"pgstatginindex knows only its pending list, 0 pages with 0 rows; REINDEX INDEX CONCURRENTLY {}",
    "placed": r"pgstattuple found \d+ % of its pages free, .*; REINDEX INDEX CONCURRENTLY {}",
    "spread": r"nothing measures a spgist index; REINDEX INDEX CONCURRENTLY {}",
}


@pytest.fixture(scope="module")
def template(server):
    """A database with one of each kind, all of them sound; its name."""
    with fresh_database(server, "kinds") as session:
        session.execute(KINDS)
    return "kinds"


@pytest.fixture
def figures(server, template):
    """A copy of that database; a session in it."""
    with fresh_database(server, "figures", f"TEMPLATE {template} STRATEGY file_copy") as session:
        yield session


def fresh_database(server, name, options=""):
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        session.execute(f"CREATE DATABASE {name} {options}")
    return psycopg.connect(server.dsn(name), autocommit=True)


@pytest.fixture
def job(tmp_path):
    return Job(LocalStore(str(tmp_path / "repository")), "acme", POLICY, new_run_id())


def planned(job, dsn):
    """The report of a plan: what is known of each large index, and what would be done."""
    found = database.plan_only(replace(job, run_id=new_run_id()), Database(name="shop", dsn=dsn))
    return known(found), [row["target"] for row in found.rows if row["action"] == "reindex"], found.checks


def known(found):
    """What the report says of the bloat of each index that is large enough: share, method, trust, reason."""
    large = [row for row in found.indexes if row["size_bytes"] >= SMALL["index_bytes"]]
    return {row["name"]: (row["waste_share"], row["method"], row["trust"], row["reason"]) for row in large}


def test_no_index_of_a_freshly_restored_database_is_rebuilt_and_each_is_shown_as_measured(
    server, template, job, tmp_path
):
    archive = tmp_path / "archive"
    subprocess.run([server.binaries / "pg_dump", "-Fc", "-f", archive, "-d", server.dsn(template)], check=True)
    with fresh_database(server, "restored"):
        subprocess.run([server.binaries / "pg_restore", "-d", server.dsn("restored"), archive], check=True)
        figures, rebuilt, _ = planned(job, server.dsn("restored"))
    assert rebuilt == []
    for name, (share, method, trust, _) in figures.items():
        if name not in UNKNOWN:
            assert (method, trust) == ("pgstathashindex" if "hashed" in name else "pgstatindex", "measured"), name
            assert share < 0.1, name
    assert set(figures) >= {name.strip('"').replace('""', '"') for name in MEASURED}
    for name, says in UNKNOWN.items():
        assert figures[name][:3] == (None, "none", "none")
        assert re.fullmatch(says.format(f"public.{name} if it grew without reason"), figures[name][3]), figures[name]


@pytest.mark.parametrize("stale", ["UPDATE pg_class SET reltuples = 7 WHERE relname ~ 'kinds|roomy'", None])
def test_stale_statistics_rebuild_nothing(server, figures, job, stale):
    if stale:
        figures.execute(stale)
    else:
        figures.execute("DELETE FROM pg_statistic WHERE starelid = 'kinds'::regclass")
        figures.execute("INSERT INTO kinds SELECT n, n::text, 1 FROM generate_series(20001, 40000) n")
    assert planned(job, server.dsn("figures"))[1] == []


def test_a_damaged_index_is_shown_with_what_the_server_says_of_it_and_stops_nothing(server, figures, job):
    (path,) = figures.execute("SELECT pg_relation_filepath('an_expression')").fetchone()
    with (server.data / path).open("r+b") as file:
        file.seek(2 * 8192)
        file.write(b"\xff" * 8192)
    known, rebuilt, checks = planned(job, server.dsn("figures"))
    assert known["an_expression"][:3] == (None, "none", "none")
    assert known["an_expression"][3].startswith("invalid page in block 2 of relation")
    assert known["half_full"][1:3] == ("pgstatindex", "measured")
    assert rebuilt == []
    assert Verdict.SKIP in {check.verdict for check in checks if check.target == "shop public.an_expression"}


def test_without_the_right_to_see_statistics_or_to_measure_nothing_is_rebuilt_and_the_grant_is_named(
    server, figures, job, request
):
    figures.execute("CREATE ROLE narrow LOGIN IN ROLE pg_monitor, pg_maintain")
    request.addfinalizer(lambda: drop_role(server, "narrow"))
    figures.execute("REVOKE pg_stat_scan_tables FROM pg_monitor")
    request.addfinalizer(lambda: grant_again(server))
    dsn = make_conninfo(server.dsn("figures"), user="narrow")
    wear(figures)
    figures_known, rebuilt, checks = planned(job, dsn)
    assert rebuilt == []
    assert {row[2] for row in figures_known.values()} == {"none"}
    skipped = {check.target.removeprefix("shop public."): check for check in checks if check.verdict is Verdict.SKIP}
    assert set(skipped) >= MEASURED - {"shown_id"}
    assert "GRANT pg_stat_scan_tables" in skipped["half_full"].message
    figures.execute("GRANT pg_stat_scan_tables TO narrow")
    figures_known, rebuilt, _ = planned(job, dsn)
    # Still without a look at pg_stats: measured is measured.
    assert figures_known["half_full"][1:3] == ("pgstatindex", "measured")
    assert "public.half_full" in rebuilt


def drop_role(server, name):
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
        session.execute(f"DROP ROLE {name}")


def grant_again(server):
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as session:
        session.execute("GRANT pg_stat_scan_tables TO pg_monitor")


def wear(session):
    for table in ("kinds", "roomy", "toasted", "parted"):
        session.execute(f"DELETE FROM {table} WHERE id % 10 NOT IN (0, 1, 2, 5)")
    vacuum(session, "kinds", "roomy", "toasted", "parted_low", "parted_high")


def test_every_kind_that_is_worn_is_rebuilt_to_the_size_of_a_fresh_build_and_then_left_alone(server, figures, job):
    wear(figures)
    (toast,) = figures.execute(
        "SELECT indexrelid::regclass::text FROM pg_index "
        "JOIN pg_class c ON c.reltoastrelid = indrelid WHERE c.relname = 'toasted'"
    ).fetchone()
    expected = {f"public.{name}" for name in MEASURED - {"shown_id"}} | {toast}
    assert set(planned(job, server.dsn("figures"))[1]) == expected
    until = Opening(start=utc_now(), end=utc_now() + timedelta(minutes=30))
    found = database.maintain(job, Database(name="shop", dsn=server.dsn("figures")), until)
    ended = {row["target"]: row["message"] for row in found.rows if row["action"] == "reindex"}
    assert {name for name, message in ended.items() if "bytes before" in message} == expected, ended
    for name in expected:
        built = size(figures, name)
        figures.execute(f"REINDEX INDEX {name}")
        assert built <= 1.1 * size(figures, name), name
    figures.execute("INSERT INTO kinds SELECT n, md5(n::text), n % 5 FROM generate_series(20001, 20800) n")
    figures.execute("ANALYZE kinds")
    now, rebuilt, _ = planned(job, server.dsn("figures"))
    assert rebuilt == []
    assert now["an_expression"][1].startswith("size per row against the build of ")
    assert now["an_expression"][2] == "high"
    assert "rows (SELECT gin_clean_pending_list('public.inverted') empties it); REINDEX" in now["inverted"][3]
