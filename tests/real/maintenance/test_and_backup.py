"""The schedules of one runbook overlap: its window of Saturday (MN-107) holds its backup of 02:00 (MN-055).

The lock of the database decides, by the policies that the system file of that runbook has.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tasks.base import stopping
from tasks.base.backup import BackupPolicy, FingerprintPolicy
from tasks.base.clock import new_run_id, utc_now
from tasks.base.maintenance import Opening, opening
from tasks.base.system import Database
from tasks.base.systems import load_system
from tasks.postgres.backup.logical import back_up
from tasks.postgres.maintain.database import Job, maintain
from tasks.repository.local import LocalStore
from tests.real.ending import dump_held
from tests.real.upkeep import holding, left, make_worn, wait_until, working

pytestmark = pytest.mark.filterwarnings("ignore:Logger 'nightshift")
SYSTEM = load_system("myproject-nexa")


@pytest.fixture
def runbook(policy):
    """The database with what the runbook's system file says of the lock; its backup policy."""
    stopping.reset()
    policy(on_lock=str(SYSTEM.maintenance.on_lock))
    return BackupPolicy(on_lock=SYSTEM.backup.on_lock, fingerprint=FingerprintPolicy(mode="counts"))


@pytest.fixture
def runs(session, dsn, runbook, tmp_path):
    """A worn database; functions that begin the run of each in a thread of its own and return its future."""
    make_worn(session, "worn", index="")
    database, store = Database(name="shop", dsn=dsn), LocalStore(str(tmp_path / "repository"))

    def backup():
        return back_up("acme", database, runbook, store, new_run_id(), lambda *_: None)

    def maintenance():
        now = utc_now()
        job = Job(store, "acme", load_system("acme").maintenance, new_run_id())
        found = maintain(job, database, Opening(start=now, end=now + timedelta(minutes=30)))
        return {f"{row['action']} {row['target']}": row["message"] for row in found.rows}

    with ThreadPoolExecutor(2) as threads:
        yield lambda: threads.submit(backup), lambda: threads.submit(maintenance)


def has_lock(dsn, kind):
    """Whether the one run of that kind that is connected holds the lock; None when none is."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted) "
        "FROM pg_stat_activity a WHERE application_name LIKE %s"
    )
    with psycopg.connect(dsn) as session:
        row = session.execute(query, (f"nightshift:{kind}:%:%",)).fetchone()
    return row and row[0]


def test_the_backup_of_two_o_clock_falls_into_the_window_of_saturday():
    (backup,) = [one for one in SYSTEM.schedules if "MN-055" in one.procedures]
    assert (backup.flow, backup.cron) == ("database_backup", "0 2 * * *")
    two = datetime(2026, 11, 21, 2, tzinfo=UTC)
    assert opening(SYSTEM.maintenance.windows, two, SYSTEM.timezone)


def test_a_backup_that_begins_during_maintenance_waits_for_its_end(session, dsn, runs):
    back_it_up, maintain_it = runs
    with holding(dsn):
        maintained = maintain_it()
        wait_until(lambda: working(session, "REINDEX%"))
        taken = back_it_up()
        wait_until(lambda: has_lock(dsn, "backup") is False)
        assert has_lock(dsn, "maintenance")
        assert not maintained.done()
    assert "before" in maintained.result()["reindex public.worn_pkey"]
    assert taken.result().database == "shop"


def test_maintenance_that_begins_during_a_backup_waits_for_its_end(session, dsn, runs):
    back_it_up, maintain_it = runs
    with dump_held(dsn):
        taken = back_it_up()
        wait_until(lambda: has_lock(dsn, "backup"))
        maintained = maintain_it()
        wait_until(lambda: has_lock(dsn, "maintenance") is False)
        assert has_lock(dsn, "backup")
        assert not taken.done()
    assert taken.result().database == "shop"
    assert "before" in maintained.result()["reindex public.worn_pkey"]
    assert left(session) == []
