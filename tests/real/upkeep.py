"""Maintenance without Prefect, a clock that can be set, and second sessions that get in its way at a given moment."""

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pyrage
import pytest

from flows import _support
from tasks.base import clock
from tasks.base.maintenance import Opening
from tasks.postgres.maintain import database
from tasks.postgres.maintain.database import Job
from tests.real.conftest import write_system
from tests.real.servers import own_server

# Small enough that an index of 20,000 rows matters.
SMALL = {"index_bytes": 100_000, "connections": 1, "disk_bytes": 10**15}
_SEEN_SECONDS, _GO_ON_SECONDS = 120, 100
_OURS = "FROM pg_stat_activity WHERE starts_with(application_name, 'nightshift:maintenance:')"
# Who is in the way goes by itself: what waits for it in place of ending then fails its test, and does not hang it.
FOR_A_WHILE = "-c idle_in_transaction_session_timeout=120s"
_RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())


@pytest.fixture(scope="session", autouse=True)
def prefect_url():
    """In place of the real one: these runs need no Prefect server."""


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL 18 apart from that of the other tests: it is restarted, and has standbys and slots."""
    with own_server({"autovacuum_naptime": "1s", "max_prepared_transactions": "2"}) as server:
        yield server


@pytest.fixture
def dsn(server):
    return server.dsn("postgres")


@pytest.fixture
def policy(dsn, tmp_path, monkeypatch):
    """The system 'acme' with the database of the server; a function that sets keys of its maintenance."""
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))

    def change(dsn=dsn, **maintenance):
        write_system(tmp_path, dsn, tmp_path / "repository", _RECIPIENT, maintenance={**SMALL, **maintenance})

    change()
    return change


@pytest.fixture
def session(dsn, policy):
    """A session in the database, which is empty."""
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("DROP SCHEMA IF EXISTS public CASCADE")
        session.execute("CREATE SCHEMA public")
        session.execute("CREATE EXTENSION pgstattuple")
        yield session


@contextlib.contextmanager
def autovacuum(session):
    """While the block runs the server has an autovacuum, which comes every second; none is left at work behind it."""
    at_work = "SELECT FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'"
    session.execute("ALTER SYSTEM SET autovacuum = on")
    session.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        session.execute("ALTER SYSTEM RESET autovacuum")
        session.execute("SELECT pg_reload_conf()")
        wait_until(lambda: not session.execute(at_work).rowcount)


def maintain(until=None, minutes=30):
    """One run on the system 'acme', inside `until` or for so many minutes; its checks, and its rows by step.

    Rows of catalogs are left out: a fresh server has some to analyze.
    """
    with _support.begin("database_maintenance", "acme") as run:
        now = clock.utc_now()
        job = Job(run.store, run.system.name, run.system.maintenance, run.run_id)
        opening = until or Opening(start=now, end=now + timedelta(minutes=minutes))
        found = database.maintain(job, run.system.databases[0], opening)
    rows = [row for row in found.rows if row["target"].startswith("public.")]
    return found.checks, {f"{row['action']} {row['target'].removeprefix('public.')}": row for row in rows}


class HostClock:
    """What the product reads as the host's clock; it goes on from where it is set."""

    def __init__(self):
        self._ahead, self._still = timedelta(), None

    def now(self, zone=None):
        return (self._still or datetime.now(UTC)).astimezone(zone) + self._ahead

    def set(self, moment):
        self._ahead = datetime.fromisoformat(moment).replace(tzinfo=UTC) - datetime.now(UTC)

    def forward(self, **much):
        self._ahead += timedelta(**much)

    def stand_still(self):
        self._still = datetime.now(UTC)


@pytest.fixture
def host_clock(monkeypatch):
    """The host's clock, to be set by a test."""
    moved = HostClock()
    monkeypatch.setattr(clock, "datetime", type("Moved", (datetime,), {"now": moved.now}))
    return moved


@contextlib.contextmanager
def meanwhile(dsn, working_at, act):
    """While the block runs: as soon as maintenance is seen at a statement like that, do `act(session)` once.

    It fails when that was never seen, or `act` failed. What goes on for too long behind it loses its sessions: a gate
    that nobody asks, or a window without an end, then fails its test in place of hanging it.
    """
    done, over = [], threading.Event()

    def watch():
        with psycopg.connect(dsn, autocommit=True) as session:
            while not done and not over.wait(0.01):
                if working(session, working_at):
                    try:
                        done.append(act(session))
                        if not over.wait(_GO_ON_SECONDS):
                            session.execute(f"SELECT pg_terminate_backend(pid) {_OURS}")
                    except psycopg.OperationalError as error:  # it ended the server
                        done.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
    assert done, f"maintenance was never seen at {working_at}"


def working(session, statement):
    """Whether a maintenance session is at a statement like that."""
    query = f"SELECT EXISTS (SELECT {_OURS} AND state = 'active' AND query LIKE %s)"
    return session.execute(query, (statement,)).fetchone()[0]


def at_snapshots(session):
    """Whether a rebuild has built its index and waits for older snapshots, for none that begins from now on."""
    waiting = "wait_event_type = 'Lock' AND wait_event = 'virtualxid' AND query LIKE 'REINDEX%'"
    return session.execute(f"SELECT EXISTS (SELECT {_OURS} AND {waiting})").fetchone()[0]


def wait_until(seen):
    """Ask until it is so; it fails when that takes too long for any machine."""
    until = time.monotonic() + _SEEN_SECONDS
    while not (found := seen()):
        assert time.monotonic() < until, "it was not seen in time"
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def holding(dsn, statement="SELECT 1", **options):
    """A session in the middle of a transaction whose snapshot stays, for two minutes at most."""
    with psycopg.connect(dsn, options=FOR_A_WHILE, **options) as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute(statement)
        yield holder
        with contextlib.suppress(psycopg.Error):  # its server may be gone, or its time over
            holder.rollback()


def make_worn(session, name, rows=20_000, *, index="(word)", dead=False, fillfactor=100):
    """A table whose indexes are mostly air; `dead`: its dead rows are still there to be vacuumed.

    With a small fillfactor it is large, and not vacuumed in one statement with others.
    """
    options = f"autovacuum_enabled = off, fillfactor = {fillfactor}"
    session.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, word text) WITH ({options})")
    session.execute(f"INSERT INTO {name} SELECT n, md5(n::text) FROM generate_series(1, {rows}) n")
    if index:
        session.execute(f"CREATE INDEX {name}_word ON {name} {index}")
    session.execute(f"ANALYZE {name}")
    session.execute(f"DELETE FROM {name} WHERE id % 5 <> 0")
    if dead:
        settle(session)
    else:
        vacuum(session, name)


def settle(session):
    """Wait until what was deleted is counted, and can be vacuumed: nobody has a snapshot from before."""
    session.execute("SELECT pg_stat_force_next_flush()")
    (now,) = session.execute("SELECT txid_current()").fetchone()
    older = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_xmin::text::bigint < %s"
    )
    wait_until(lambda: not session.execute(older, (now,)).rowcount)


def vacuum(session, *names):
    """Vacuum and analyze tables until nothing dead is left: while anybody has a snapshot, autovacuum too, rows stay."""
    tables = "(SELECT unnest(%(names)s::regclass[]))"
    count = (
        "SELECT sum(pg_stat_get_dead_tuples(oid)) FROM pg_class "
        f"WHERE oid IN {tables} OR oid IN (SELECT reltoastrelid FROM pg_class WHERE oid IN {tables})"
    )

    def clean():
        session.execute("SELECT pg_stat_force_next_flush()")
        session.execute(f"VACUUM (ANALYZE) {', '.join(names)}")
        return not session.execute(count, {"names": list(names)}).fetchone()[0]

    wait_until(clean)


def size(session, name):
    """Bytes of a table or index."""
    return session.execute("SELECT pg_relation_size(%s::regclass)", (name,)).fetchone()[0]


def left(session):
    """What a run must not leave: half-built indexes, sessions of its own."""
    query = (
        "SELECT relname FROM pg_class WHERE relname ~ '_cc(new|old)' UNION ALL "
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'nightshift:%' AND state <> 'idle'"
    )
    return [row[0] for row in session.execute(query).fetchall()]
