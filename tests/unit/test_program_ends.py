"""How programs end: by themselves, by a deadline, by a cancel or a stop; nothing of them is left."""

import os
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager

import psutil
import pytest

from tasks.base import processes, stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import StoppedError, ToolFailedError
from tasks.base.programs import output_of, reading_from, run
from tests.unit.programs import flood, shell

# In the names of processes, for another run of these tests may go on beside this one.
OURS = f"nightshift-{os.getpid()}"
IGNORES_TERM = "trap '' TERM; while :; do sleep 60; done"


@contextmanager
def nothing_left_behind(name: str):
    """No process with that name in its command line stays alive behind the block; to be gone takes a moment."""
    yield
    waited = stopwatch()
    while left := alive(name):
        assert waited() < 60, left
        threading.Event().wait(0.02)


def alive(name: str) -> list[psutil.Process]:
    found = [one for one in psutil.process_iter(["cmdline", "status"]) if name in " ".join(one.info["cmdline"] or [])]
    return [one for one in found if one.info["status"] != psutil.STATUS_ZOMBIE]


def hang(name: str, script: str) -> str:
    """A script that says its grandchild is there, and then does what `script` says; its name is in its command line."""
    return f": {name}; sh -c ': {name}; {IGNORES_TERM.replace(chr(39), chr(34))}' & {script}"


@pytest.fixture
def short_grace(monkeypatch):
    """Between TERM and KILL, in place of three seconds."""
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.3)


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize(
    ("name", "script"),
    [("waits", "wait"), ("ignores", IGNORES_TERM), ("leader-gone", "sleep 0.2")],
)
@pytest.mark.parametrize("how", [run, output_of])
def test_a_deadline_ends_the_whole_group_also_when_term_is_ignored(name, script, how):
    """With output_of the caller is blocked in a read meanwhile, and the grandchild holds the other end open."""
    mark = f"{OURS}-{name}-{how.__name__}"
    with nothing_left_behind(mark):
        if name == "leader-gone" and how is run:
            run(shell(hang(mark, script)))
        else:
            with pytest.raises(ToolFailedError, match=r"sh did not end within 0\.5 s and was ended") as raised:
                how(shell(hang(mark, script), deadline_seconds=0.5))
            assert raised.value.retryable


def test_a_deadline_reaches_a_grandchild_in_a_session_of_its_own():
    mark = f"{OURS}-own-session"
    script = f": {mark}; setsid sh -c ': {mark}; while :; do sleep 60; done' & wait"
    with nothing_left_behind(mark), pytest.raises(ToolFailedError, match="did not end within"):
        run(shell(script, deadline_seconds=0.5))


def test_a_deadline_reaches_a_caller_that_writes():
    elapsed = stopwatch()
    with pytest.raises(ToolFailedError, match="did not end within"):
        flood(shell("sleep 100", deadline_seconds=0.3))
    assert elapsed() < 60


def test_a_program_that_leaves_a_daemon_on_its_stderr_is_not_waited_for(tmp_path):
    pid_file, elapsed = tmp_path / "pid", stopwatch()
    waits = f"while ! [ -s {pid_file} ]; do sleep 0.01; done"
    run(shell(f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 200' & {waits}", deadline_seconds=200))
    assert elapsed() < 100
    psutil.Process(int(pid_file.read_text())).kill()


def test_a_cancel_of_the_caller_ends_the_program_and_is_not_taken_for_its_failure():
    class Cancelled(BaseException):
        pass

    def work():
        with reading_from(shell(f": {mark}; echo x; exit 1")) as raw:
            raw.read(10)
            raise Cancelled

    mark = f"{OURS}-cancelled"
    with nothing_left_behind(mark), pytest.raises(Cancelled):
        work()


def test_a_signal_between_fork_and_exec_unwinds_nothing_in_the_child(tmp_path):
    """Prefect's handler raises; in a child that is not yet the program it would run this process's code twice."""
    script = f"""
        import os, signal, threading, sys
        from tasks.base.programs import Program, run
        class Cancel(BaseException): pass
        def handler(*_): raise Cancel
        signal.signal(signal.SIGTERM, handler)
        parent = os.getpid()
        ended = 0
        for _ in range(64):
            timer = threading.Timer(0.0005 * (_ % 16), lambda: os.killpg(parent, signal.SIGTERM))
            try:
                timer.start()
                run(Program(arguments=("/bin/sleep", "10"), deadline_seconds=20))
            except Cancel:
                ended += 1
            finally:
                with open({str(tmp_path / "who")!r}, "a") as file:
                    file.write(f"{{os.getpid() == parent}}\\n")
        import psutil
        children = [one for one in psutil.Process().children(recursive=True) if one.status() != "zombie"]
        print(ended, children)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert done.stdout == "64 []\n", done.stdout + done.stderr
    assert (tmp_path / "who").read_text() == "True\n" * 64


def test_nothing_is_started_once_the_run_was_stopped(tmp_path):
    stopping.stop_all()
    with pytest.raises(StoppedError):
        run(shell(f"touch {tmp_path}/started"))
    assert not (tmp_path / "started").exists()
