"""Runs that are killed: whatever the moment, no half backup counts as one, and the next run cleans up and succeeds."""

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import psycopg
import pytest

from tasks.base.clock import utc_now
from tasks.base.words import Verdict
from tasks.repository import catalog, records
from tasks.repository.local import LocalStore
from tasks.repository.store import Store
from tasks.repository.streams import stored_hash
from tests.real.conftest import change_system
from tests.real.ending import own_processes
from tests.soak.engine import ROOT, Engine
from tests.soak.proxy import PLACES, KillingProxy, When
from tests.soak.watch import KillingWatch

MIB = 1024 * 1024


@dataclass(frozen=True)
class Chaos:
    """Runs of the system 'acme' that are killed at a storage call or some time; after each, what must hold is held."""

    engine: Engine
    door: KillingProxy | KillingWatch
    store: Store
    dsn: str
    chance: Random

    @property
    def is_exact(self) -> bool:
        """True when a kill is at the call itself; at a folder it comes after it was seen, some calls later."""
        return isinstance(self.door, KillingProxy)

    def strike(self, job: str, when: When, place: str) -> bool:
        """Kill a run where `when(number, request)` says so; False when it ended before."""
        self.door.arm(when, place)
        running = self.engine.start(job)
        self.door.aim(running.pid)
        return self._held_after(running.wait())

    def strike_at_each_call(self, job: str) -> int:
        """Kill a run at its first storage call, one at its second and so on until one ends; how many were killed."""
        number = 1
        while self.strike(job, lambda count, _, at=number: count == at, self.chance.choice(PLACES)):
            number += 1
        return number - 1

    def strike_within(self, job: str, seconds: float) -> bool:
        """Kill a run at a random moment of its first `seconds`; False when it ended before."""
        self.door.arm(lambda *_: False, "before")
        running = self.engine.start(job)
        self.door.aim(running.pid)
        time.sleep(self.chance.uniform(0, seconds))
        return self._held_after(running.kill())

    def run(self, job: str) -> str:
        """Run a job to its end; what it returned."""
        self.door.arm(lambda *_: False, "before")
        return self.engine.run(job)

    def _held_after(self, ended: dict[str, str]) -> bool:
        assert not ended or "returned" in ended, ended
        self.whole_backups()
        links = {link.verdict for link in records.verify_chain(self.store, "acme", "shop")}
        assert links <= {Verdict.OK, Verdict.SKIP}, "SKIP: no receipt yet"
        lock_is_free(self.dsn)
        return not ended

    def whole_backups(self) -> int:
        """Every backup that counts as one has all of its objects, byte for byte; how many there are."""
        backups = catalog.list_backups(self.store, "acme")
        for backup in backups:
            for file in catalog.load_manifest(self.store, backup).files:
                assert stored_hash(self.store, file.key) == (file.sha256, file.size_bytes), f"half: {backup.prefix}"
        return len(backups)

    def unfinished(self) -> list[str]:
        """What looks like a backup and is none."""
        return catalog.unfinished(self.store, "acme", "shop", utc_now() + timedelta(days=1))

    def back_up_and_sweep(self) -> None:
        """The next backup: it succeeds, and nothing of a killed run is left anywhere."""
        before = self.whole_backups()
        change_system(backup={"unfinished_after_hours": 1e-9})
        self.run("backup")
        assert self.whole_backups() == before + 1
        assert self.unfinished() == []
        assert not self.store.abort_stale_uploads("", utc_now() + timedelta(days=1)), "unfinished uploads are left"
        assert own_processes() == []


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Starts runs without Prefect that may be killed."""
    folder = tmp_path_factory.mktemp("engine")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
        )
        yield Engine(process, folder)
        process.stdin.close()
        process.wait(120)


@pytest.fixture(params=["folder", "rclone", "moto"])
def chaos(request, system, shop, engine, chance):
    """The system 'acme' in a folder that is watched, or in a bucket behind a killing proxy."""
    if request.param == "folder":
        door, store = KillingWatch(system), LocalStore(str(system))
    else:
        server, prefix = request.getfixturevalue(request.param), uuid.uuid4().hex
        door, store = KillingProxy(server.endpoint), server.store(prefix)
        change_system(repository=server.policy(prefix, door.endpoint))
    yield Chaos(engine, door, store, shop, chance)
    door.close()


@pytest.fixture
def sandboxes(system):
    """The folder where restore tests of this test alone have their sandboxes."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        Path(folder).chmod(0o755)
        change_system(restore_test={"folder": folder})
        yield Path(folder)


@pytest.mark.timeout(1200)
def test_a_backup_killed_at_any_moment_leaves_no_half_backup_and_the_next_run_cleans_up(chaos):
    if chaos.is_exact:
        enlarge(chaos.dsn)
    seconds = seconds_of(lambda: chaos.run("backup"))
    assert chaos.strike_at_each_call("backup") > 6, "too few calls for a backup"
    for _ in range(6):
        chaos.strike_within("backup", seconds)
    for place in PLACES:
        struck = chaos.strike("backup", lambda _, call: re.match(r"PUT .*/manifest\.json$", call), place)
        assert struck or not chaos.is_exact
    assert len(chaos.unfinished()) > 5
    change_system(backup={"unfinished_after_hours": 1e-9})
    for _ in range(3):
        assert chaos.strike("backup", is_some_delete(chaos.chance), chaos.chance.choice(PLACES)), "no sweep was struck"
    chaos.back_up_and_sweep()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("chaos", ["rclone"], indirect=True)
def test_a_restore_test_killed_at_any_moment_loses_nothing_and_the_next_one_cleans_up(chaos, sandboxes):
    chaos.run("backup")
    seconds = seconds_of(lambda: chaos.run("restore_test"))
    left = kills = 0
    while kills < 6 or not left:  # where the first run took longer than the others, most kills come too late
        chaos.strike_within("restore_test", seconds)
        left, kills = left + len(list(sandboxes.iterdir())), kills + 1
    assert chaos.strike_at_each_call("restore_test") > 6
    assert chaos.run("restore_test") == "proven"
    assert list(sandboxes.iterdir()) == []
    assert own_processes(sandboxes) == []
    assert chaos.whole_backups() == 1


@pytest.mark.timeout(1200)
def test_retention_killed_at_any_delete_leaves_whole_backups_and_the_next_runs_finish_it(chaos):
    for _ in range(8):
        chaos.run("backup")
    newest = catalog.list_backups(chaos.store, "acme")[-1]
    change_system(retention={"kinds": {"logical": {"newest": 1, "days": 0}}})
    for number in range(1, 7):  # the five objects of a backup, and the first of the next
        struck = chaos.strike("retention", at_delete(number), chaos.chance.choice(["before", "after"]))
        assert struck or not chaos.is_exact, f"there was no delete number {number}"
    chaos.run("retention")
    assert catalog.list_backups(chaos.store, "acme") == [newest]
    chaos.back_up_and_sweep()


def enlarge(dsn: str) -> None:
    """Add 17 MiB that do not compress, so that the archive is uploaded in parts."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE bulk (noise bytea)")
        for _ in range(17):
            connection.execute("INSERT INTO bulk VALUES (%s)", (os.urandom(MIB),))


def is_delete(call: str) -> bool:
    """True for the removal of an object, not of a local writer's temporary file."""
    return call.startswith("DELETE") and "/.unfinished-" not in call


def at_delete(number: int) -> When:
    """At the delete of that number, from 1 on."""
    deletes = iter(range(1, 1000))
    return lambda _, call: is_delete(call) and next(deletes) == number


def is_some_delete(chance: Random) -> When:
    return lambda _, call: is_delete(call) and chance.random() < 0.3


def seconds_of(work) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def lock_is_free(dsn: str) -> None:
    """The lock of a killed run goes with its connection."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        until = time.monotonic() + 120
        while connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'").fetchone():
            assert time.monotonic() < until, "a killed run still holds the lock"
            time.sleep(0.02)
