"""Maintenance beside a busy database, and killed or cut off in the middle: no client waits, nothing is left."""

import contextlib
import json
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest

from tasks.postgres.clients import embedded_binaries
from tests.real.conftest import change_system
from tests.real.upkeep import settle, size, wait_until, working
from tests.soak.test_chaos import engine

__all__ = ["engine"]


@pytest.fixture
def worn(system, shop):
    """The system's database with a table and two indexes that are mostly air; a session to look at it."""
    change_system(maintenance={"index_bytes": 100_000, "old_snapshot_seconds": 5.0})
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        session.execute("CREATE TABLE worn (id bigint PRIMARY KEY, word text) WITH (autovacuum_enabled = off)")
        session.execute("INSERT INTO worn SELECT n, md5(n::text) FROM generate_series(1, 400000) n")
        session.execute("CREATE INDEX worn_word ON worn (word)")
        session.execute("DELETE FROM worn WHERE id % 4 <> 0")
        settle(session)
        yield session


def leftovers(session):
    return session.execute("SELECT relname FROM pg_class WHERE relname ~ '_cc(new|old)'").fetchall()


def at_work(session):
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'nightshift:maintenance:%'"
    return session.execute(query).fetchone()[0]


@pytest.mark.parametrize("verb", ["VACUUM", "REINDEX"])
def test_a_kill_in_the_middle_leaves_nothing_that_the_next_run_does_not_remove(worn, engine, verb):
    running = engine.start("maintenance")
    wait_until(lambda: working(worn, f"{verb}%"))
    running.kill()
    wait_until(lambda: at_work(worn) == 0)
    rows = json.loads(engine.run("maintenance"))
    assert {row["verdict"] for row in rows} <= {"OK", "INFO"}, rows
    assert leftovers(worn) == []
    assert size(worn, "worn_word") < 6_000_000


def test_a_server_restart_in_the_middle_is_said_and_the_next_try_does_the_rest(worn, engine):
    running = engine.start("maintenance")
    wait_until(lambda: working(worn, "REINDEX%"))
    worn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nightshift:maintenance:%'"
    )
    assert "lost" in running.wait()["error"]
    rows = json.loads(engine.run("maintenance"))
    assert {row["verdict"] for row in rows} <= {"OK", "INFO"}, rows
    assert leftovers(worn) == []


def test_beside_pgbench_no_client_waits_a_second_for_us_while_a_plain_reindex_blocks(worn, shop, engine, tmp_path):
    pgbench = embedded_binaries() / "pgbench"
    subprocess.run([pgbench, "-i", "-s", "10", "-q", shop], check=True, capture_output=True)
    worn.execute("CREATE INDEX accounts_filler ON pgbench_accounts (abalance, filler)")
    # What is rebuilt is what the clients work on.
    worn.execute("DELETE FROM pgbench_accounts WHERE aid % 4 <> 0")
    worn.execute("SELECT pg_stat_force_next_flush()")
    with load(pgbench, shop, tmp_path) as beside_ours, waits(shop, "nightshift:maintenance:") as ours:
        rows = json.loads(engine.run("maintenance"))
    rebuilt = {row["target"] for row in rows if row["action"] == "reindex" and "before" in row["message"]}
    assert rebuilt >= {"public.pgbench_accounts_pkey", "public.accounts_filler"}, rows
    assert max(ours, default=0) < 1
    plain = psycopg.connect(shop, autocommit=True, application_name="naive")
    with plain, load(pgbench, shop, tmp_path) as beside_naive, waits(shop, "naive") as naive:
        plain.execute("REINDEX DATABASE shop")
    assert max(naive, default=0) > max(ours, default=0)
    # By pgbench's own log: the plain one held the clients for as long as it took, ours held none.
    assert len(beside_ours) > 100
    assert max(beside_naive) >= max(naive)
    # A lock that is held for a second holds all four clients; one that waits alone waits for the machine.
    assert sorted(beside_ours)[-4] < 1


@contextlib.contextmanager
def load(pgbench, dsn, folder):
    """pgbench with four clients while the block runs; afterwards the seconds of each transaction, from its own log."""
    seconds = []
    with tempfile.TemporaryDirectory(dir=folder) as logs:
        command = [pgbench, "-n", "-c", "4", "-T", "120", "--log", f"--log-prefix={logs}/log", dsn]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(2)
            yield seconds
            time.sleep(1)  # what waited until now ends, and is in the log
            process.send_signal(signal.SIGINT)
        lines = [line for log in Path(logs).iterdir() for line in log.read_text().splitlines()]
        # The third field is the latency in microseconds; the last line may have been cut off.
        seconds += [int(fields[2]) / 1e6 for line in lines if len(fields := line.split()) >= 6]


@contextlib.contextmanager
def waits(dsn, blocker):
    """Seconds that clients were seen to wait for a lock of that application, sampled while the block runs."""
    seen, over = [], threading.Event()
    query = (
        "SELECT extract(epoch FROM clock_timestamp() - l.waitstart)::float8 FROM pg_locks l "
        "JOIN pg_stat_activity b ON b.pid = ANY (pg_blocking_pids(l.pid)) AND b.application_name LIKE %s "
        "JOIN pg_stat_activity w ON w.pid = l.pid AND w.application_name = 'pgbench' WHERE NOT l.granted"
    )

    def sample():
        with psycopg.connect(dsn, autocommit=True) as session:
            while not over.wait(0.01):
                seen.extend(row[0] or 0.0 for row in session.execute(query, (f"{blocker}%",)).fetchall())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield seen
    finally:
        over.set()
        sampler.join()
