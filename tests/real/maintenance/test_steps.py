"""Maintenance below the flow: tables that share a statement, a stop in a rebuild, what a plan is made from."""

import threading
from datetime import timedelta

import psycopg
import pytest

from tasks.base import stopping
from tasks.base.clock import new_run_id, utc_now
from tasks.base.errors import StoppedError
from tasks.base.maintenance import MaintenancePolicy, Opening
from tasks.base.system import Database
from tasks.postgres.maintain.carry_out import carry_out, make_plan
from tasks.postgres.maintain.database import Job, maintain
from tasks.postgres.maintain.history import Diary, Rates, read_outcomes
from tasks.postgres.maintain.plan import Action
from tasks.postgres.maintain.rest import Rest
from tasks.repository.local import LocalStore
from tests.real.upkeep import holding, vacuum, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Logger 'nightshift")
POLICY = MaintenancePolicy(dead_rows=50, changed_rows=50, index_bytes=100_000)
SMALL_TABLES = 60


@pytest.fixture
def session(shop):
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        yield session


@pytest.fixture
def many(session):
    """Sixty small tables, all of them worn."""
    for number in range(SMALL_TABLES):
        session.execute(
            f"CREATE TABLE small_{number} WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 200) n"
        )
        session.execute(f"DELETE FROM small_{number} WHERE n > 100")
    session.execute("SELECT pg_stat_force_next_flush()")
    return session


def small_steps(planned):
    """The plan without what the catalogs of a fresh server want."""
    return planned.model_copy(
        update={"steps": tuple(step for step in planned.steps if step.schema_name == "public" and "small" in step.name)}
    )


def done(shop, tmp_path, planned, policy=POLICY, *, seconds=600):
    """The outcomes by step of carrying a plan out; a stop is among them, raised."""
    store, run_id, now = LocalStore(str(tmp_path / "history")), new_run_id(), utc_now()
    rest = Rest(Opening(start=now, end=now + timedelta(seconds=seconds)), Rates([]))
    try:
        with Diary(store, "acme", "shop", run_id) as diary:
            carry_out(Database(name="shop", dsn=shop), policy, run_id, planned, rest, diary)
    finally:
        done.outcomes = {row["key"]: row for row in read_outcomes(store, "acme", "shop") if row["run_id"] == run_id}
    return done.outcomes


def planned_for(shop, policy=POLICY, **more):
    return make_plan(Database(name="shop", dsn=shop), policy, new_run_id(), more.pop("baselines", {}), **more)


def test_small_tables_share_a_statement_and_one_bad_among_them_stops_none_of_the_others(many, shop, tmp_path):
    planned = small_steps(planned_for(shop))
    names = [step.name for step in planned.steps]
    assert len(names) == SMALL_TABLES
    # The first fifty share one statement, the last ten another.
    gone, failing, locked = names[3], names[7], names[52]
    many.execute("CREATE FUNCTION failing(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'")
    many.execute(f"CREATE INDEX ON {failing} (failing(n))")
    many.execute("CREATE OR REPLACE FUNCTION failing(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 / 0'")
    many.execute(f"DROP TABLE {gone}")
    with holding(shop, f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE"):
        outcomes = done(shop, tmp_path, planned)
    ended = {row["target"]: (row["verdict"], row["message"]) for row in outcomes.values()}
    assert ended.pop(f"public.{gone}") == ("INFO", "the table is gone")
    verdict, message = ended.pop(f"public.{locked}")
    assert (verdict, "lock not available" in message) == ("SKIP", True), message
    verdict, message = ended.pop(f"public.{failing}")
    assert (verdict, "division by zero" in message) == ("FAIL", True), message
    assert {verdict for verdict, _ in ended.values()} == {"OK"}
    assert all(message.startswith("100 dead rows before, 0 after") for _, message in ended.values())
    left = "SELECT count(*) FROM pg_stat_user_tables WHERE relname ~ '^small_' AND last_vacuum IS NULL"
    assert many.execute(left).fetchone()[0] <= 2
    assert [len(message.split("one of 10")) for _, message in ended.values()].count(2) == 9


def test_the_time_of_a_shared_statement_is_shared_out_and_said_to_be(many, shop, tmp_path):
    outcomes = done(shop, tmp_path, small_steps(planned_for(shop)))
    shared = [row for row in outcomes.values() if "its time is shared out by size" in row["message"]]
    assert len(shared) == SMALL_TABLES
    assert all(0 < row["seconds"] < 5 for row in shared)


def test_a_stop_in_the_middle_of_a_rebuild_leaves_no_half_built_index(session, shop, tmp_path):
    session.execute("CREATE TABLE worn (id bigint PRIMARY KEY) WITH (autovacuum_enabled = off)")
    session.execute("INSERT INTO worn SELECT generate_series(1, 60000)")
    session.execute("DELETE FROM worn WHERE id % 5 <> 0")
    vacuum(session, "worn")
    planned = planned_for(shop)
    planned = planned.model_copy(
        update={"steps": tuple(step for step in planned.steps if step.action is Action.REINDEX and "worn" in step.name)}
    )
    assert len(planned.steps) == 1
    raised = []

    def work():
        try:
            done(shop, tmp_path, planned)
        except StoppedError as error:
            raised.append(error)

    # What was half built can only be dropped when this one is gone, later than a stop is sent again.
    with holding(shop, "SELECT FROM worn LIMIT 1") as holder:
        worker = threading.Thread(target=work)
        worker.start()
        wait_until(lambda: leftovers(session))
        end_it = ("SELECT pg_terminate_backend(%s)", (holder.info.backend_pid,))
        threading.Timer(1.5, session.execute, end_it).start()
        stopping.stop_all()
        worker.join()
        assert leftovers(session) == []
    assert raised
    assert done.outcomes["reindex public.worn_pkey"]["message"] == "cancelled: the run was stopped"


def leftovers(session):
    return session.execute("SELECT relname FROM pg_class WHERE relname ~ '_cc(new|old)'").fetchall()


def test_an_index_that_is_being_rebuilt_by_somebody_keeps_no_inspection_waiting(session, shop):
    session.execute("CREATE TABLE held (id bigint PRIMARY KEY)")
    session.execute("INSERT INTO held SELECT generate_series(1, 20000)")
    vacuum(session, "held")
    with holding(shop, "REINDEX INDEX held_pkey"):
        inspection = planned_for(shop, MaintenancePolicy()).inspection
    (held,) = [index for index in inspection.indexes if index.name == "held_pkey"]
    assert held.size_bytes > 300_000
    assert [check for check in inspection.checks if "lock" in check.message] == []


def test_an_inspection_ends_with_the_window_and_says_what_it_did_not_look_at(session, shop):
    inspection = planned_for(shop, rest_seconds=0.0).inspection
    assert inspection.unread == "the window closed"
    assert inspection.tables == ()
    assert {"was not looked at: the window closed"} <= {check.message for check in inspection.checks}


def test_what_a_role_may_not_see_is_skipped_with_the_grant(session, shop):
    session.execute("DROP ROLE IF EXISTS upkeep")
    session.execute("CREATE ROLE upkeep LOGIN")
    session.execute("CREATE SEQUENCE of_another")
    inspection = planned_for(psycopg.conninfo.make_conninfo(shop, user="upkeep")).inspection
    session.execute("DROP ROLE upkeep")
    told = {check.next_command: str(check.verdict) for check in inspection.checks}
    assert told["GRANT pg_monitor TO upkeep"] == "SKIP"
    assert told["GRANT pg_read_all_data TO upkeep"] == "SKIP"


def test_a_table_that_is_mostly_air_is_measured_and_told_and_a_full_one_is_cleared(session, shop):
    for name in ("airy", "dense", "half"):
        session.execute(
            f"CREATE TABLE {name} (id bigint, word text) WITH (autovacuum_enabled = off, "
            f"fillfactor = {50 if name == 'half' else 100})"
        )
        session.execute(f"INSERT INTO {name} SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
    session.execute("DELETE FROM airy WHERE id % 10 <> 0")
    vacuum(session, "airy", "dense", "half")
    planned = planned_for(shop, MaintenancePolicy(table_bytes=500_000))
    known = {table.name: planned.table_bloat.get(table.oid) for table in planned.inspection.tables}
    assert (known["airy"].trust, round(known["airy"].waste_share, 1)) == ("measured", 0.9)
    assert known["dense"].waste_share < 0.1
    assert known["half"].waste_share < 0.1


def test_a_table_is_cleared_by_its_size_per_row_since_it_was_measured_and_measured_again_when_it_grew(
    session, shop, tmp_path
):
    policy, store = MaintenancePolicy(table_bytes=500_000, dead_rows=10**9), LocalStore(str(tmp_path / "history"))

    def bloat():
        until = Opening(start=utc_now(), end=utc_now() + timedelta(minutes=9))
        found = maintain(Job(store, "acme", policy, new_run_id()), Database(name="shop", dsn=shop), until)
        (row,) = [row for row in found.tables if row["name"] == "wide"]
        return row["trust"], row["method"].partition(" of ")[0], round(row["waste_share"], 1)

    session.execute("CREATE TABLE wide (id bigint, word text) WITH (autovacuum_enabled = off)")
    session.execute("INSERT INTO wide SELECT n, repeat('x', 1200) FROM generate_series(1, 2000) n")
    # Of no use for an estimate, so that it is measured.
    session.execute("ALTER TABLE wide ALTER word SET STATISTICS 0")
    session.execute("DELETE FROM wide WHERE id % 2 = 0")
    vacuum(session, "wide")
    assert bloat() == ("measured", "pgstattuple_approx", 0.5)
    session.execute("INSERT INTO wide SELECT n, repeat('x', 1200) FROM generate_series(1, 700) n")
    vacuum(session, "wide")
    assert bloat() == ("high", "size per row against the measurement", 0.2)
    session.execute("DELETE FROM wide WHERE id % 7 <> 0")
    vacuum(session, "wide")
    assert bloat() == ("measured", "pgstattuple_approx", 0.9)
    session.execute("CREATE TABLE other AS SELECT * FROM wide")
    session.execute("DROP TABLE wide")
    session.execute("ALTER TABLE other RENAME TO wide")
    session.execute("INSERT INTO wide SELECT n, repeat('y', 1200) FROM generate_series(1, 2000) n")
    vacuum(session, "wide")
    # Another of the same name inherits nothing.
    assert bloat()[1] != "size per row against the measurement"


def test_what_holds_back_vacuum_is_named_with_what_ends_it(session, shop):
    with holding(shop, application_name="forgotten") as holder:
        session.execute("SELECT pg_current_xact_id()")
        session.execute("SELECT pg_current_xact_id()")
        checks = planned_for(shop, MaintenancePolicy(held_back_transactions=0)).inspection.checks
        unheld = planned_for(shop, MaintenancePolicy()).inspection.checks
        pid = holder.info.backend_pid
    told = {check.target: check for check in checks if check.name == "xmin holders"}
    found = told[f"shop session {pid} of postgres (forgotten)"]
    assert found.verdict == "WARN"
    assert found.next_command == f"SELECT pg_terminate_backend({pid})"
    assert [check for check in unheld if check.name == "xmin holders"] == []
