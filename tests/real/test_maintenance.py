"""Maintenance of a database that is really bloated: the plan, what is done, what is left alone, and why."""

import csv
import re
import time

import psycopg
import pytest

from flows.database_maintenance import database_maintenance
from tasks.base.errors import NightshiftError
from tasks.base.words import Verdict
from tasks.report.publish import report_prefix
from tests.real.conftest import write_system
from tests.real.upkeep import holding, settle, size, vacuum

# What the catalogs hold beside the plan may be worth knowing.
WELL = (Verdict.OK, Verdict.INFO)
GENTLE = {"index_bytes": 500_000, "old_snapshot_seconds": 2.0, "freeze_age_share": 0.01}
# The least that the server takes; a hundredth of it are a thousand transactions.
SOON_FROZEN = 100_000
WORN = {"public.worn_word", "public.worn_half", "public.worn_pkey"}
AGES = r"(\d+) transactions old before, (\d+) after"


@pytest.fixture
def bloated(system, shop, identity, tmp_path):
    """The system's database with one table that was updated and deleted from a lot; a session to look at it."""
    write_system(tmp_path / "systems", shop, system, str(identity.to_public()), maintenance=GENTLE)
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        session.execute(
            "CREATE TABLE worn (id bigint PRIMARY KEY, word text, half int) WITH (autovacuum_enabled = off)"
        )
        session.execute("INSERT INTO worn SELECT n, md5(n::text), n FROM generate_series(1, 60000) n")
        session.execute("CREATE INDEX worn_word ON worn (word)")
        session.execute("CREATE INDEX worn_half ON worn (half) WITH (fillfactor = 50)")
        session.execute("CREATE TABLE kept (id bigint PRIMARY KEY, word text) WITH (autovacuum_enabled = off)")
        session.execute("INSERT INTO kept SELECT n, md5(n::text) FROM generate_series(1, 40000) n")
        session.execute("CREATE INDEX kept_word ON kept (word)")
        session.execute(
            f"CREATE TABLE old WITH (autovacuum_enabled = off, autovacuum_freeze_max_age = {SOON_FROZEN}) "
            "AS SELECT generate_series(1, 100) n"
        )
        session.execute("DO $$ BEGIN FOR i IN 1..1500 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
        session.execute("SELECT pg_stat_force_next_flush()")
        session.execute("VACUUM (SKIP_LOCKED, ANALYZE) worn, kept")
        session.execute("DELETE FROM worn WHERE id % 5 <> 0")
        settle(session)
        yield session


def rows(result, action):
    return {row["target"]: row for row in result.rows if row["action"] == action}


def maintain(**parameters):
    return database_maintenance("acme", dry_run=False, minutes=30, **parameters)


def test_outside_of_a_window_it_is_refused_and_the_next_command_is_named(bloated):
    with pytest.raises(NightshiftError, match=r"no maintenance window of 'acme' is open now; .* minutes=60"):
        database_maintenance("acme", dry_run=False)


def test_a_table_that_is_locked_is_skipped_and_the_rest_goes_on(bloated, shop):
    with holding(shop, "LOCK TABLE worn IN ACCESS EXCLUSIVE MODE"):
        result = maintain()
    assert rows(result, "vacuum")["public.worn"]["verdict"] == "SKIP"
    assert "lock not available" in rows(result, "vacuum")["public.worn"]["message"]
    assert result.verdict is Verdict.SKIP


def test_an_old_snapshot_keeps_a_rebuild_from_beginning_and_is_named(bloated, shop):
    with holding(shop) as holder:
        time.sleep(GENTLE["old_snapshot_seconds"] + 0.5)
        result = maintain()
        pid = holder.info.backend_pid
    for name in WORN:
        assert f"not begun: session {pid}" in rows(result, "reindex")[name]["message"]
    assert leftovers(bloated) == []


def leftovers(session):
    return session.execute("SELECT relname FROM pg_class WHERE relname ~ '_cc(new|old)'").fetchall()


def test_what_a_dead_rebuild_left_is_removed(bloated, shop):
    vacuum(bloated, "worn")
    with holding(shop), psycopg.connect(shop, autocommit=True) as builder:
        builder.execute("SET lock_timeout = '300ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute("REINDEX INDEX CONCURRENTLY worn_word")
    assert leftovers(bloated) == [("worn_word_ccnew",)]
    result = maintain()
    assert rows(result, "drop leftover")["public.worn_word_ccnew"]["verdict"] == "OK"
    assert leftovers(bloated) == []


def test_a_full_disk_is_seen_before_a_rebuild_begins(bloated, shop, system, identity, tmp_path):
    tight = {**GENTLE, "disk_bytes": 1}
    write_system(tmp_path / "systems", shop, system, str(identity.to_public()), maintenance=tight)
    result = maintain()
    for name in WORN:
        assert "not begun: the server's disk has 0 bytes free" in rows(result, "reindex")[name]["message"]
    assert rows(result, "vacuum")["public.worn"]["verdict"] == "OK"
    assert leftovers(bloated) == []


def test_a_window_that_closes_before_anything_is_read_is_said(bloated, shop, monkeypatch):
    from flows import database_maintenance as module
    from tasks.base.clock import utc_now
    from tasks.base.maintenance import Opening

    now = utc_now()
    almost = Opening(start=now, end=now)
    monkeypatch.setattr(module, "opening_for", lambda *_: almost)
    with pytest.raises(NightshiftError, match="tables or indexes were not read: the window closed"):
        database_maintenance("acme", dry_run=False)


def test_an_exclusion_constraint_is_left_with_the_command(bloated):
    bloated.execute(
        "CREATE TABLE booked (at int4range, EXCLUDE USING gist (at WITH &&)) WITH (autovacuum_enabled = off)"
    )
    bloated.execute("INSERT INTO booked SELECT int4range(2 * n, 2 * n + 1) FROM generate_series(1, 20000) n")
    result = maintain()
    assert "public.booked_at_excl" not in rows(result, "reindex")
    told = [check for check in result.checks if check.target == "shop public.booked_at_excl"]
    assert told, result.checks
    assert told[0].verdict is Verdict.INFO
    assert "how much a build leaves free depends on the data" in told[0].message
    assert told[0].message.endswith("REINDEX INDEX CONCURRENTLY public.booked_at_excl if it grew without reason")


def test_without_pgstattuple_nothing_is_rebuilt_and_the_command_is_named(bloated):
    bloated.execute("DROP EXTENSION pgstattuple")
    result = maintain()
    assert rows(result, "reindex") == {}
    assert result.verdict is Verdict.SKIP
    assert "CREATE EXTENSION pgstattuple" in result.headline


def test_a_fresh_table_is_never_rebuilt_whatever_its_statistics_say(bloated):
    vacuum(bloated, "worn")
    bloated.execute("REINDEX TABLE worn")
    bloated.execute("UPDATE pg_class SET reltuples = 10 WHERE relname = 'worn_word'")
    assert rows(maintain(), "reindex") == {}


def test_what_is_worn_is_vacuumed_frozen_and_rebuilt_and_a_second_run_finds_nothing(bloated, system):
    before = {name: size(bloated, name) for name in ("worn_word", "worn_half", "worn_pkey", "kept_word")}
    plan = database_maintenance("acme")
    assert plan.dry_run
    assert list(rows(plan, "vacuum")) == ["public.worn"]
    assert rows(plan, "vacuum")["public.worn"]["method"].startswith("VACUUM (SKIP_LOCKED, ")
    assert {name: size(bloated, name) for name in before} == before
    result = maintain()
    assert result.verdict in WELL, result.headline
    assert rows(result, "vacuum")["public.worn"]["message"].startswith("48000 dead rows before, 0 after")
    # What the window was checked against, not what this run took.
    assert {row["expected_from"] for row in result.rows} == {"assumed, no history yet"}
    old, frozen = map(int, re.match(AGES, rows(result, "freeze")["public.old"]["message"]).groups())
    assert old > 1000 > frozen
    rebuilt = {target for target, row in rows(result, "reindex").items() if "before" in row["message"]}
    assert rebuilt == WORN
    for name in ("worn_word", "worn_half", "worn_pkey"):
        said = f"{before[name]} bytes before, {size(bloated, name)} after"
        assert rows(result, "reindex")[f"public.{name}"]["message"] == said
        assert fresh_size(bloated, name) * 0.9 <= size(bloated, name) <= fresh_size(bloated, name) * 1.1
    assert size(bloated, "kept_word") == before["kept_word"]
    folder = system / report_prefix(result)
    assert len((folder / "report.csv").read_text().splitlines()) == 1 + len(result.rows)
    (kept,) = [row for row in table_of(folder / "indexes.csv") if row["name"] == "kept_word"]
    assert (kept["method"], kept["trust"], float(kept["waste_share"]) < 0.3) == ("pgstatindex", "measured", True)
    assert {"public.old", "public.worn"} <= {f"public.{row['name']}" for row in table_of(folder / "tables.csv")}
    again = maintain()
    assert again.rows == ()
    assert "nothing needed to be done" in [check.message for check in again.checks]

    by_name = {row["name"]: row for row in again.indexes}
    assert by_name["worn_word"]["method"].startswith("size per row against the build of ")
    # Of the same name, and another index: what the former one needed says nothing about it.
    bloated.execute("DROP INDEX worn_word")
    bloated.execute("CREATE INDEX worn_word ON worn (word, half, id)")
    anew = {row["name"]: row for row in database_maintenance("acme").indexes}
    assert anew["worn_word"]["method"] == "pgstatindex"


def table_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fresh_size(session, name):
    definition = session.execute("SELECT pg_get_indexdef(%s::regclass)", (name,)).fetchone()[0]
    session.execute(definition.replace(f"INDEX {name}", "INDEX built_anew"))
    fresh = size(session, "built_anew")
    session.execute("DROP INDEX built_anew")
    return fresh
