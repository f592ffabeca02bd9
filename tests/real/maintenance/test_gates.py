"""The gates of a rebuild on a real server: each keeps it from beginning, or ends it, and says by what."""

import contextlib
import threading

import psycopg
import pytest

from flows import _support
from tasks.base.errors import NightshiftError
from tasks.base.system import Database
from tasks.base.words import LockPolicy, Verdict
from tasks.postgres.lock import database_lock
from tasks.postgres.maintain import database as maintenance
from tasks.postgres.maintain.database import Job
from tests.real.servers import standby_of
from tests.real.upkeep import autovacuum, holding, left, maintain, make_worn, meanwhile, size, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Logger 'nightshift")
SLOT = "SELECT pg_create_physical_replication_slot('far_behind', true)"


@pytest.fixture
def worn(session):
    """A table with one index to be rebuilt; the session."""
    make_worn(session, "worn", index="")
    yield session

    def without_slots():
        session.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
        return not session.execute("SELECT FROM pg_replication_slots").rowcount

    # The server takes a moment to see that a standby went.
    wait_until(without_slots)


def rebuilt():
    _, rows = maintain()
    return rows["reindex worn_pkey"]


def test_a_slot_that_holds_back_wal_keeps_a_rebuild_from_beginning_and_ends_one(worn, dsn, policy):
    policy(replica_lag_bytes=1)
    with holding(dsn), meanwhile(dsn, "REINDEX%", lambda other: other.execute(SLOT)):
        row = rebuilt()
    assert row["verdict"] == "WARN"
    assert "cancelled: replication slot far_behind holds back" in row["message"]
    assert left(worn) == []
    row = rebuilt()
    assert row["verdict"] == "SKIP"
    assert "not begun: replication slot far_behind holds back" in row["message"]
    worn.execute("SELECT pg_drop_replication_slot('far_behind')")
    assert "before" in rebuilt()["message"]


def test_a_snapshot_that_grows_old_during_a_rebuild_ends_it_and_is_named(worn, dsn, policy):
    policy(old_snapshot_seconds=1)
    stack = contextlib.ExitStack()
    begun = []

    def begin(_):
        begun.append(stack.enter_context(holding(dsn, application_name="reporting")).info.backend_pid)

    # What the rebuild waits for is a session of maintenance, which closes no gate.
    waited_for = holding(dsn, application_name="nightshift:maintenance:other")
    with stack, waited_for, meanwhile(dsn, "REINDEX%", begin):
        row = rebuilt()
    assert row["verdict"] == "WARN"
    assert row["message"].startswith(f"cancelled: session {begun[0]} (reporting) has a transaction open since")
    assert left(worn) == []
    assert "before" in rebuilt()["message"]


def test_a_dump_that_begins_ends_a_rebuild_and_keeps_it_from_beginning(worn, dsn):
    dumps = []

    def dump(_):
        dumps.append(stack.enter_context(holding(dsn, application_name="pg_dump")).info.backend_pid)

    with contextlib.ExitStack() as stack:
        with holding(dsn), meanwhile(dsn, "REINDEX%", dump):
            row = rebuilt()
        said = f"a dump runs: session {dumps[0]} (pg_dump)"
        assert (row["verdict"], row["message"]) == ("WARN", f"cancelled: {said}")
        assert left(worn) == []
        row = rebuilt()
        assert (row["verdict"], row["message"]) == ("SKIP", f"not begun: {said}")


def test_a_backup_that_holds_the_lock_is_named_and_nothing_is_done(worn, dsn, policy):
    before = size(worn, "worn_pkey")
    database = Database(name="shop", dsn=dsn)
    policy(on_lock="refuse")
    with (
        database_lock(database, "backup", "0badcafe", LockPolicy.REFUSE, 1),
        pytest.raises(NightshiftError, match=r"'shop' is locked by nightshift:backup:.*:0badcafe .*since"),
    ):
        maintain()
    assert size(worn, "worn_pkey") == before
    assert "before" in rebuilt()["message"]


def test_a_backup_that_holds_the_lock_is_waited_for_and_then_the_work_is_done(worn, dsn, policy):
    policy(on_lock="wait", lock_wait_seconds=120)
    held, seen = (
        threading.Event(),
        "SELECT FROM pg_stat_activity WHERE application_name LIKE 'nightshift:maintenance:%'",
    )

    def backup():
        with database_lock(Database(name="shop", dsn=dsn), "backup", "0badcafe", LockPolicy.REFUSE, 1):
            held.set()
            wait_until(lambda: worn.execute(seen).rowcount)

    thread = threading.Thread(target=backup)
    thread.start()
    assert held.wait(120)
    row = rebuilt()
    thread.join()
    assert "before" in row["message"]


def test_a_prepared_transaction_that_stays_is_named(worn, policy):
    policy(old_snapshot_seconds=0.1)
    worn.execute("CREATE TABLE other (n int)")
    worn.execute("BEGIN")
    worn.execute("INSERT INTO other VALUES (1)")
    worn.execute("PREPARE TRANSACTION 'forgotten'")
    worn.execute("SELECT pg_sleep(0.2)")
    row = rebuilt()
    worn.execute("ROLLBACK PREPARED 'forgotten'")
    assert row["verdict"] == "SKIP"
    assert row["message"].startswith("not begun: prepared transaction forgotten is open since")


def test_a_wraparound_vacuum_that_comes_during_a_rebuild_is_given_way_to(worn, dsn, policy):
    policy(freeze_age_share=2)
    worn.execute("ALTER TABLE worn SET (autovacuum_freeze_max_age = 100000)")
    burn(worn, 95_000)
    with autovacuum(worn), holding(dsn), meanwhile(dsn, "REINDEX%", lambda other: burn(other, 10_000)):
        row = rebuilt()
    assert row["verdict"] == "WARN"
    assert "cancelled: autovacuum (to prevent wraparound) of the table" in row["message"]
    assert left(worn) == []


def test_a_wraparound_vacuum_that_waits_for_the_table_keeps_a_rebuild_from_beginning(worn, dsn, policy):
    policy(freeze_age_share=2)
    worn.execute("ALTER TABLE worn SET (autovacuum_freeze_max_age = 100000)")
    with autovacuum(worn), holding(dsn, "LOCK TABLE worn IN SHARE UPDATE EXCLUSIVE MODE"):
        burn(worn, 101_000)
        wait_until(
            lambda: worn.execute(
                "SELECT pid FROM pg_locks WHERE relation = 'worn'::regclass AND NOT granted"
            ).fetchone()
        )
        row = rebuilt()
    assert row["verdict"] == "SKIP"
    assert row["message"].startswith("not begun: autovacuum (to prevent wraparound) of the table")


def burn(session, count):
    """Let so many transactions pass."""
    session.execute(f"DO $$ BEGIN FOR n IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")


def test_a_role_without_the_rights_to_measure_or_to_see_other_sessions_gets_the_grants(worn, dsn, policy, request):
    worn.execute("CREATE ROLE blind LOGIN IN ROLE pg_maintain, pg_stat_scan_tables")
    request.addfinalizer(lambda: worn.execute("DROP OWNED BY blind; DROP ROLE blind"))
    policy(dsn=dsn.replace("user=postgres", "user=blind"))
    checks, rows = maintain()
    (check,) = [check for check in checks if check.target == "shop public.worn_pkey"]
    assert check.verdict is Verdict.SKIP
    assert check.message.endswith("GRANT pg_stat_scan_tables TO blind; GRANT USAGE ON SCHEMA public TO blind")
    assert "reindex worn_pkey" not in rows
    worn.execute("GRANT USAGE ON SCHEMA public TO blind")
    row = rebuilt()
    assert row["verdict"] == "SKIP"
    assert row["message"] == "not begun: this role does not see what other sessions do; GRANT pg_monitor to it"


@pytest.fixture
def standby(server, worn):
    """A standby that follows the server; its dsn."""
    with standby_of(server) as follower:
        yield follower.dsn("postgres")


def test_a_standby_that_falls_behind_ends_a_rebuild_and_is_itself_never_maintained(worn, dsn, policy, standby):
    policy(replica_lag_bytes=10_000_000)
    with psycopg.connect(standby, autocommit=True) as follower, holding(dsn):
        follower.execute("SELECT pg_wal_replay_pause()")
        write = "SELECT pg_logical_emit_message(false, 'load', repeat('x', 20000000))"
        with meanwhile(dsn, "REINDEX%", lambda other: other.execute(write)):
            row = rebuilt()
    assert row["verdict"] == "WARN"
    assert "cancelled: standby walreceiver is" in row["message"]
    assert left(worn) == []
    policy(dsn=standby)
    with pytest.raises(NightshiftError, match=r"'shop' is a standby.*lock_dsn"):
        maintain()


def test_a_standby_a_slot_and_a_prepared_transaction_that_hold_back_vacuum_are_named_with_what_ends_it(
    worn, policy, standby
):
    policy(held_back_transactions=0)
    worn.execute(SLOT)
    with psycopg.connect(standby, autocommit=True) as follower, holding(standby):
        settings = ("hot_standby_feedback = on", "wal_receiver_status_interval = '1s'")
        for setting in settings:
            follower.execute(f"ALTER SYSTEM SET {setting}")
        follower.execute("SELECT pg_reload_conf()")
        wait_until(lambda: worn.execute("SELECT 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL").fetchone())
        worn.execute("BEGIN")
        worn.execute("CREATE TABLE other (n int)")
        worn.execute("PREPARE TRANSACTION 'it''s open'")
        burn(worn, 5)
        (seen, held) = held_back_by()
        worn.execute("ROLLBACK PREPARED 'it''s open'")
        assert held["shop standby walreceiver"] == "look at hot_standby_feedback and long queries there"
        assert held["shop prepared transaction it's open"] == "ROLLBACK PREPARED 'it''s open'"
        assert seen == {"WARN"}
        follower.execute("ALTER SYSTEM SET primary_slot_name = 'far_behind'")
        follower.execute("SELECT pg_reload_conf()")
        wait_until(lambda: worn.execute("SELECT 1 FROM pg_replication_slots WHERE xmin IS NOT NULL").fetchone())
        without = "SELECT bool_and(backend_xmin IS NULL) FROM pg_stat_replication"
        wait_until(lambda: worn.execute(without).fetchone()[0])
        burn(worn, 5)
        assert held_back_by()[1] == {
            "shop replication slot far_behind": "SELECT pg_drop_replication_slot('far_behind')"
        }


def held_back_by():
    """What a plan says holds back vacuum: the verdicts, and the command by name."""
    with _support.begin("database_maintenance", "acme") as run:
        job = Job(run.store, run.system.name, run.system.maintenance, run.run_id)
        checks = maintenance.plan_only(job, run.system.databases[0]).checks
    found = [check for check in checks if check.name == "xmin holders"]
    return {str(check.verdict) for check in found}, {check.target: check.next_command for check in found}


def test_the_indexes_of_catalogs_are_never_rebuilt_and_their_tables_are_vacuumed(worn, policy):
    policy(index_bytes=1, index_waste_share=0.01, dead_rows=100, dead_share=0.01)
    worn.execute(
        "DO $$ BEGIN FOR n IN 1..200 LOOP EXECUTE format('CREATE TABLE passing_%s (a int, b int, c int)', n); "
        "EXECUTE format('DROP TABLE passing_%s', n); END LOOP; END $$"
    )
    worn.execute("SELECT pg_stat_force_next_flush()")
    with _support.begin("database_maintenance", "acme") as run:
        job = Job(run.store, run.system.name, run.system.maintenance, run.run_id)
        found = maintenance.plan_only(job, run.system.databases[0])
    steps = {(row["action"], row["target"]) for row in found.rows}
    assert ("vacuum", "pg_catalog.pg_attribute") in steps
    assert ("reindex", "public.worn_pkey") in steps
    assert [target for action, target in steps if action == "reindex" and target.startswith("pg_catalog.")] == []
