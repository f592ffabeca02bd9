"""Maintenance that is cut off, blocked, restarted or deprived of its table: each ends as said, the rest goes on."""

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from tasks.base.clock import utc_now
from tasks.base.errors import NightshiftError
from tasks.base.maintenance import Opening, Window, opening
from tasks.postgres.maintain import database
from tests.real.upkeep import at_snapshots, holding, left, maintain, make_worn, meanwhile, size, vacuum, wait_until

# The runs are outside of Prefect, which says so of each line that they log.
pytestmark = pytest.mark.filterwarnings("ignore:Logger 'nightshift")
SLOW = {"vacuum_cost_delay_ms": 100, "vacuum_cost_limit": 1}


def test_the_windows_end_during_a_vacuum_cancels_it_and_the_rest_is_told(session, dsn, policy, host_clock):
    make_worn(session, "first", dead=True, fillfactor=10)
    make_worn(session, "second", dead=True)
    policy(**SLOW)
    with meanwhile(dsn, "VACUUM%first%", lambda _: host_clock.forward(hours=1)):
        _, rows = maintain()
    assert rows["vacuum first"]["verdict"] == "WARN"
    assert "cancelled: the window closed at" in rows["vacuum first"]["message"]
    rest = [row for name, row in rows.items() if name != "vacuum first"]
    assert rest
    assert all(row["verdict"] == "SKIP" and "the window closed at" in row["message"] for row in rest), rest
    assert left(session) == []
    policy()
    _, rows = maintain()
    assert {row["verdict"] for row in rows.values()} == {"OK"}, rows
    assert rows["vacuum first"]["message"] == "16000 dead rows before, 0 after"


def test_the_windows_end_while_a_rebuild_waits_for_a_snapshot_cancels_it_without_a_leftover(session, dsn, host_clock):
    make_worn(session, "worn")
    before = size(session, "worn_pkey"), size(session, "worn_word")
    with holding(dsn), meanwhile(dsn, "REINDEX%", lambda _: host_clock.forward(hours=1)):
        _, rows = maintain()
    assert sorted(row["verdict"] for row in rows.values()) == ["SKIP", "WARN"], rows
    assert rows["reindex worn_word"]["message"].startswith("cancelled: the window closed at")
    assert rows["reindex worn_pkey"]["message"].startswith("the window closed at")
    assert left(session) == []
    assert (size(session, "worn_pkey"), size(session, "worn_word")) == before


def test_the_windows_end_while_an_index_is_built_cancels_it_without_a_leftover(session, dsn, policy, host_clock):
    make_slow(session, "worn")
    with meanwhile(dsn, "REINDEX%worn_word%", lambda _: host_clock.forward(hours=1)):
        _, rows = maintain()
    assert rows["reindex worn_word"]["message"].startswith("cancelled: the window closed at")
    assert left(session) == []


def make_slow(session, name):
    """A worn table with an index whose build takes 40 s."""
    session.execute(
        "CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
        "PERFORM pg_sleep(0.01) WHERE current_setting(''application_name'') LIKE ''nightshift%''; RETURN $1; END'"
    )
    make_worn(session, name, index="(slow(word))")


def test_a_leftover_that_cannot_be_dropped_yet_is_not_waited_for_behind_the_windows_end(
    session, dsn, host_clock, monkeypatch
):
    make_worn(session, "worn")
    with holding(dsn):
        session.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute("REINDEX INDEX CONCURRENTLY worn_word")
    end, do = utc_now() + timedelta(minutes=30), database.carry_out

    def carry_out(*arguments):
        host_clock.stand_still()
        host_clock.forward(seconds=(end - utc_now()).total_seconds() - 2)
        return do(*arguments)

    # However long the plan took: when the drop begins, two seconds of the window are left, and behind it none.
    over = meanwhile(dsn, "DROP INDEX%", lambda _: host_clock.forward(minutes=1))
    with holding(dsn, "SELECT FROM worn LIMIT 1"), monkeypatch.context() as patch, over:
        patch.setattr(database, "carry_out", carry_out)
        _, rows = maintain(Opening(start=utc_now(), end=end))
    row = rows["drop leftover worn_word_ccnew"]
    assert row["verdict"] == "WARN"
    # By itself it would wait for a minute.
    assert row["seconds"] < 50
    assert "waits for an old transaction; later: DROP INDEX CONCURRENTLY" in row["message"]
    _, rows = maintain()
    assert rows["drop leftover worn_word_ccnew"]["verdict"] == "OK"
    assert left(session) == []


def test_what_a_rebuild_of_somebody_is_at_work_on_is_never_taken_for_a_leftover(session, dsn, policy):
    make_worn(session, "worn")
    policy(index_bytes=10**9)
    with holding(dsn) as holder, psycopg.connect(dsn, autocommit=True) as other, ThreadPoolExecutor(1) as pool:
        build = pool.submit(other.execute, "REINDEX INDEX CONCURRENTLY worn_word")
        wait_until(lambda: session.execute("SELECT 1 FROM pg_class WHERE relname = 'worn_word_ccnew'").fetchone())
        _, rows = maintain()
        holder.rollback()
        build.result()
    (row,) = [row for name, row in rows.items() if name.startswith("drop leftover")]
    assert (row["verdict"], row["message"]) == ("INFO", "is gone, or a running rebuild is at work on it")
    assert left(session) == []


def test_a_unique_violation_during_a_rebuild_is_told_removed_and_the_rest_goes_on(session):
    session.execute("CREATE FUNCTION same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'")
    make_worn(session, "worn", index="")
    make_worn(session, "broken", index="")
    session.execute("CREATE TABLE copied (LIKE broken) WITH (autovacuum_enabled = off)")
    session.execute("INSERT INTO copied SELECT n, '' FROM generate_series(1, 20000) n")
    session.execute("CREATE UNIQUE INDEX copied_same ON copied (same(id))")
    session.execute("DELETE FROM copied WHERE id % 5 <> 0")
    vacuum(session, "copied")
    session.execute("CREATE OR REPLACE FUNCTION same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 7'")
    _, rows = maintain()
    assert rows["reindex copied_same"]["verdict"] == "FAIL"
    assert "could not create unique index" in rows["reindex copied_same"]["message"]
    assert "before" in rows["reindex worn_pkey"]["message"]
    assert "before" in rows["reindex broken_pkey"]["message"]
    assert left(session) == []
    assert session.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'copied_same'::regclass").fetchone()[0]


def test_an_exclusion_constraint_of_a_btree_is_refused_with_the_statement_and_the_rest_goes_on(session):
    make_worn(session, "worn", index="")
    session.execute("CREATE TABLE booked (seat int, EXCLUDE (seat WITH =)) WITH (autovacuum_enabled = off)")
    session.execute("INSERT INTO booked SELECT generate_series(1, 20000)")
    session.execute("DELETE FROM booked WHERE seat % 5 <> 0")
    vacuum(session, "booked")
    _, rows = maintain()
    row = rows["reindex booked_seat_excl"]
    assert row["verdict"] == "SKIP"
    assert "in a quiet hour: REINDEX INDEX public.booked_seat_excl" in row["message"]
    assert "before" in rows["reindex worn_pkey"]["message"]


def test_a_table_dropped_before_and_one_dropped_during_its_turn_stop_nothing(session, dsn, policy):
    make_worn(session, "first", dead=True, fillfactor=10)
    make_worn(session, "second", dead=True)
    make_worn(session, "third")
    policy(vacuum_cost_delay_ms=20, vacuum_cost_limit=1000)
    with meanwhile(dsn, "VACUUM%first%", lambda other: other.execute("DROP TABLE second")):
        _, rows = maintain()
    assert (rows["vacuum second"]["verdict"], rows["vacuum second"]["message"]) == ("INFO", "the table is gone")
    for name in ("second_pkey", "second_word"):
        assert (rows[f"reindex {name}"]["verdict"], rows[f"reindex {name}"]["message"]) == ("INFO", "the index is gone")
    for name in ("first_pkey", "first_word", "third_pkey", "third_word"):
        assert "before" in rows[f"reindex {name}"]["message"]


def test_who_drops_a_table_during_its_rebuild_is_given_way_to_and_the_rest_goes_on(session, dsn):
    make_worn(session, "first", rows=30_000)
    make_worn(session, "second")
    with holding(dsn, "SELECT 1") as holder:

        def drop(other):
            wait_until(lambda: at_snapshots(other))
            other.execute("DROP TABLE first")
            holder.rollback()

        with meanwhile(dsn, "REINDEX%first%", drop):
            _, rows = maintain()
    assert "waits for the rebuild since" in rows["reindex first_word"]["message"]
    assert rows["reindex first_pkey"]["message"] == "the index is gone"
    assert "before" in rows["reindex second_pkey"]["message"]
    assert left(session) == []


def test_a_table_dropped_at_the_end_of_its_rebuild_is_no_damage(session, dsn, policy):
    policy(blocked_seconds=60)
    make_worn(session, "worn", index="")
    with holding(dsn) as holder, psycopg.connect(dsn, autocommit=True) as other, ThreadPoolExecutor() as pool:

        def drop_and_let_go(watcher):
            wait_until(lambda: at_snapshots(watcher))
            pool.submit(other.execute, "DROP TABLE worn")
            waiting = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
            wait_until(lambda: watcher.execute(waiting, (other.info.backend_pid,)).fetchone()[0])
            holder.rollback()

        with meanwhile(dsn, "REINDEX%worn%", drop_and_let_go):
            _, rows = maintain()
    # Which of the two came first is not ours to say.
    assert rows["reindex worn_pkey"]["verdict"] in {"INFO", "OK"}, rows


@pytest.mark.parametrize("mode", ["SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"])
def test_a_lock_held_on_one_table_is_waited_for_only_so_long_and_the_rest_goes_on(session, dsn, policy, mode):
    policy(old_snapshot_seconds=1)
    make_worn(session, "locked", rows=30_000)
    make_worn(session, "worn")
    with holding(dsn, f"LOCK TABLE locked IN {mode} MODE") as holder:
        _, rows = maintain()
        pid = holder.info.backend_pid
    for name in ("locked_pkey", "locked_word"):
        assert f"session {pid}" in rows[f"reindex {name}"]["message"], rows
    assert "before" in rows["reindex worn_word"]["message"]
    assert left(session) == []


def test_what_a_run_calls_done_is_on_the_servers_disk_when_it_ends(session, policy):
    make_worn(session, "worn", dead=True)
    policy(index_bytes=10**9)
    (writer,) = session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
    # What else would bring it there, a moment later.
    os.kill(writer, signal.SIGSTOP)
    try:
        _, rows = maintain()
        (waiting,) = session.execute("SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn()").fetchone()
    finally:
        os.kill(writer, signal.SIGCONT)
    assert [row["verdict"] for row in rows.values()] == ["OK"], rows
    assert waiting < 10_000


def test_a_server_restart_during_a_rebuild_is_told_and_the_next_run_does_the_rest(session, dsn, server):
    make_worn(session, "worn")

    def restart(watcher):
        wait_until(lambda: at_snapshots(watcher))
        arguments = ("restart", "--mode=immediate", "--wait", "--silent", f"--pgdata={server.data}", "--log=/dev/null")
        subprocess.run([server.binaries / "pg_ctl", *arguments], check=True, user=server.run_as, cwd=server.folder)

    refusal = pytest.raises(NightshiftError, match=r"was lost: .*run again")
    with holding(dsn), meanwhile(dsn, "REINDEX%", restart), refusal:
        maintain()
    with psycopg.connect(dsn, autocommit=True) as session:
        assert left(session) != []
        checks, rows = maintain()
        assert left(session) == []
        again, _ = maintain()
    (resumed,) = [check.message for check in checks if check.name == "resumed"]
    assert re.match(r"\d+ steps of run \w+ were left when it was killed; the new plan holds what they need", resumed)
    assert [check for check in again if check.name == "resumed"] == []
    assert {row["verdict"] for row in rows.values()} == {"OK"}, rows
    assert "before" in rows["reindex worn_word"]["message"]


# Sundays 01:00 to 03:00 in Berlin: in March 03:00 comes after one hour, in October 02:00 to 03:00 comes twice.
NIGHT = Window(weekday="sunday", start="01:00", end="03:00", timezone="Europe/Berlin")


def test_a_window_in_which_the_clock_goes_forward_ends_an_hour_earlier(session, dsn, policy, host_clock):
    make_worn(session, "worn", rows=30_000, dead=True)
    policy(**SLOW)
    host_clock.set("2026-03-29 00:30:00")
    with meanwhile(dsn, "VACUUM%worn%", lambda _: host_clock.set("2026-03-29 01:00:00")):
        _, rows = maintain(opening([NIGHT], utc_now(), "UTC"))
    assert rows["vacuum worn"]["message"] == "cancelled: the window closed at 2026-03-29T01:00:00Z"
    assert left(session) == []


def test_a_window_in_which_the_clock_goes_back_stays_open_over_the_doubled_hour(session, dsn, policy, host_clock):
    make_worn(session, "worn", dead=True)
    policy(vacuum_cost_delay_ms=10, vacuum_cost_limit=50)
    host_clock.set("2026-10-25 00:59:59")  # 02:59:59 for the first time
    until = opening([NIGHT], utc_now(), "UTC")
    with meanwhile(dsn, "VACUUM%worn%", lambda _: host_clock.set("2026-10-25 01:55:00")):
        _, rows = maintain(until)
    assert {row["verdict"] for row in rows.values()} == {"OK"}, rows
    assert "before" in rows["reindex worn_word"]["message"]
