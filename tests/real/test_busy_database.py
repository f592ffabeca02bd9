"""No false alarm: a database that is written to all the time is backed up, verified and proven clean."""

import subprocess
import threading
import time
from contextlib import contextmanager, suppress

import psycopg
import pytest

from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.restore_test import restore_test
from tasks.base.words import Verdict
from tests.real.conftest import write_system
from tests.real.ending import wait_until

# Each transaction moves sequences (one up, one in a circle, one down) and changes rows of old and new tables.
SCRIPT = """
\\set id random(1, 2000)
BEGIN;
SELECT nextval('orders'), nextval('around'), nextval('untouched');
UPDATE kinds SET price = price + 0.01 WHERE id = :id;
INSERT INTO parts VALUES ('2025-06-01', :id);
DELETE FROM nokey WHERE ctid = (SELECT min(ctid) FROM nokey);
INSERT INTO nokey VALUES ('same');
COMMIT;
"""


@contextmanager
def pgbench(postgres, shop, script):
    """Two clients of pgbench, until the block is left."""
    script.write_text(SCRIPT)
    options = ("--no-vacuum", "--client=2", "--time=300", f"--file={script}")
    with subprocess.Popen(
        [postgres.binaries / "pgbench", *options, shop], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def truncating(shop, seen):
    """One client that empties a table and makes, fills and drops others, again and again; it waits where it must."""
    stop = threading.Event()

    def work():
        with psycopg.connect(shop, autocommit=True) as connection:
            while not stop.is_set():
                # Beside who locks them the other way round it may be the one that is told to try again.
                with suppress(psycopg.errors.DeadlockDetected):
                    connection.execute("TRUNCATE unlogged, secured")
                    seen.append(time.monotonic())
                connection.execute("INSERT INTO secured SELECT 'x', i FROM generate_series(1, 100) i")
                connection.execute("DROP SCHEMA IF EXISTS come CASCADE")
                connection.execute("CREATE SCHEMA come CREATE TABLE go (id serial PRIMARY KEY)")
                time.sleep(1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def busy(system, shop, postgres, identity, tmp_path):
    """The system's database under load; the times of its truncations."""
    write_system(system.parent / "systems", shop, system, str(identity.to_public()))
    times = []
    with pgbench(postgres, shop, tmp_path / "load.sql") as process, truncating(shop, times):
        wait_until(lambda: len(times) >= 3)
        yield times
        assert process.poll() is None, process.stderr.read().decode()


def test_a_busy_database_is_backed_up_and_proven_without_a_false_alarm(busy, shop):
    began, taken = len(busy), 0
    # A truncation waits for the end of a dump, and two backups may come between two of them.
    while taken < 2 or (len(busy) == began and taken < 10):
        taken += 1
        result = database_backup("acme")
        assert result.verdict is Verdict.OK, result.headline
    assert len(busy) > began, "nothing was truncated while the backups ran"
    assert backup_verification("acme").verdict is Verdict.OK
    receipt = restore_test("acme").receipts[0]
    assert receipt.proven == "proven", receipt.rungs
