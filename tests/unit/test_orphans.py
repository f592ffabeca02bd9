"""What a killed run left is ended by the next one; what belongs to a living run is never touched."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import psutil
import pytest

from tasks.base import processes
from tasks.base.clock import stopwatch
from tasks.base.orphans import end_orphans
from tasks.base.processes import identity_of, is_alive
from tasks.base.run import OWNER, SUBJECT

# In the subjects, for another run of these tests may go on beside this one.
OURS = f"acme/orphans-{os.getpid()}"
# A run that starts a program which ignores TERM and has a child of its own, and says both their PIDs.
RUN = """
    import sys
    from tasks.base.programs import Program, run
    from tasks.base.run import run_context
    script = "trap '' TERM; echo $$; sh -c 'echo $$; exec sleep 60'; sleep 60"
    with run_context("run1", sys.argv[1]):
        run(Program(arguments=("/bin/sh", "-c", script), deadline_seconds=60), stdout=sys.stdout)
"""


@pytest.fixture
def start_run():
    """A function that starts such a run in a process of its own; the process, and the PIDs of what it started."""
    started = []

    def start(subject: str) -> tuple[subprocess.Popen, list[psutil.Process]]:
        run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(RUN), subject], stdout=subprocess.PIPE, text=True)
        children = [psutil.Process(int(run.stdout.readline())) for _ in range(2)]
        started.extend([psutil.Process(run.pid), *children])
        wait_until(lambda: children[1].name() == "sleep")
        return run, children

    yield start
    for process in started:
        if process.is_running():
            process.kill()


def kill(run: subprocess.Popen) -> None:
    run.send_signal(signal.SIGKILL)
    run.wait()


def wait_until(condition) -> None:
    waited = stopwatch()
    while not condition():
        assert waited() < 60
        threading.Event().wait(0.02)


def running(processes: list[psutil.Process]) -> list[bool]:
    return [one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes]


def test_the_programs_of_a_killed_run_are_ended_by_the_next_grandchildren_included(start_run, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.5)
    run, children = start_run(f"{OURS}-1")
    assert end_orphans(f"{OURS}-1") == []
    kill(run)
    assert running(children) == [True, True]
    assert end_orphans(f"{OURS}-2") == []
    assert running(children) == [True, True]
    assert sorted(end_orphans(f"{OURS}-1")) == sorted(
        f"{one.pid} {name}" for one, name in zip(children, ("sh", "sleep"), strict=True)
    )
    wait_until(lambda: running(children) == [False, False])


def test_a_living_run_and_one_of_another_database_are_never_touched(start_run):
    living, of_living = start_run(f"{OURS}-3")
    other, of_other = start_run(f"{OURS}-4")
    kill(other)
    assert end_orphans(f"{OURS}-3") == []
    assert running(of_living + of_other) == [True] * 4
    assert living.poll() is None


def test_an_owner_is_known_by_its_start_and_not_by_its_number_alone():
    own = identity_of(os.getpid())
    pid, start = own.split(":")
    assert is_alive(own)
    assert not is_alive(f"{pid}:{int(start) - 1}")
    assert not is_alive("4194305:1")


def test_the_orphan_of_an_owner_whose_number_is_used_again_is_ended_and_the_new_one_stays():
    pid, start = identity_of(os.getpid()).split(":")
    environment = {**os.environ, SUBJECT: f"{OURS}-6", OWNER: f"{pid}:{int(start) - 1}"}
    orphan = subprocess.Popen(["/bin/sleep", "60"], env=environment)
    assert end_orphans(f"{OURS}-6") == [f"{orphan.pid} sleep"]
    orphan.wait(timeout=60)


def test_an_owner_that_cannot_be_read_counts_as_alive():
    for owner in ("", "nonsense", "x:1"):
        assert is_alive(owner)
    environment = {**os.environ, SUBJECT: f"{OURS}-5", OWNER: "nonsense"}
    stranger = subprocess.Popen(["/bin/sleep", "60"], env=environment)
    try:
        assert end_orphans(f"{OURS}-5") == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_dead_owner_that_nobody_has_reaped_is_dead():
    zombie = subprocess.Popen(["/bin/sleep", "60"])
    owner = identity_of(zombie.pid)
    assert is_alive(owner)
    zombie.kill()
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE
    assert not is_alive(owner)
    zombie.wait()
