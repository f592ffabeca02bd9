"""A stop reaches all that a run has begun, at once, and insists."""

import subprocess
import sys
import textwrap
import threading

import psutil
import pytest

from tasks.base import processes, stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import StoppedError
from tasks.base.programs import Program, output_of, run


def begin(work) -> tuple[threading.Thread, list[StoppedError]]:
    """Work in a thread, and the error that it ends with."""
    errors: list[StoppedError] = []

    def keep():
        try:
            work()
        except StoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=keep)
    thread.start()
    return thread, errors


def wait_until(condition) -> None:
    waited = stopwatch()
    while not condition():
        assert waited() < 60
        threading.Event().wait(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("how", [run, output_of])
def test_a_stop_ends_the_programs_of_all_threads_grandchildren_included(tmp_path, monkeypatch, how):
    """Six of them ignore TERM; one after the other they would take longer than a stop waits, eight seconds."""
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 1.5)
    ignoring = "trap '' TERM; echo $$ >> {0}; (trap '' TERM; sh -c 'echo $$ >> {0}; exec sleep 600'); sleep 600"
    obeying = "echo $$ >> {0}; sh -c 'echo $$ >> {0}; exec sleep 600'; true"
    pids = tmp_path / "pids"
    pids.touch()
    scripts = [script.format(pids) for script in (*[ignoring] * 6, obeying, obeying)]
    begun = [
        begin(lambda script=script: how(Program(arguments=("/bin/sh", "-c", script), deadline_seconds=600)))
        for script in scripts
    ]
    wait_until(lambda: pids.read_text().count("\n") == 16)
    stopping.stop_all()
    assert not stopping._callbacks, "all have ended before the stop gave up"
    for thread, errors in begun:
        thread.join(timeout=60)
        assert len(errors) == 1
    wait_until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))


def test_what_ends_between_two_asks_is_asked_again():
    """As a query that is cancelled between two statements: the first ask meets nothing."""
    asked, at_work = [], threading.Event()

    def work():
        with stopping.on_stop(lambda: asked.append(1)):
            at_work.set()
            wait_until(lambda: len(asked) >= 2)

    thread, errors = begin(work)
    assert at_work.wait(60)
    stopping.stop_all()
    thread.join()
    assert errors == []
    assert len(asked) >= 2


def test_one_that_cannot_be_ended_does_not_keep_the_others_from_it():
    at_work, ended = threading.Event(), threading.Event()

    def fails():
        raise OSError("no way to the server")

    with stopping.on_stop(fails):
        thread, errors = begin(lambda: _wait_for_stop(at_work, ended))
        assert at_work.wait(60)
        stopper = threading.Thread(target=stopping.stop_all)
        stopper.start()
        thread.join(timeout=60)
        assert ended.is_set()
        assert errors == []
    stopper.join(timeout=60)
    assert not stopper.is_alive()


def _wait_for_stop(at_work: threading.Event, ended: threading.Event) -> None:
    with stopping.on_stop(ended.set):
        at_work.set()
        ended.wait(120)


def test_nothing_begins_after_a_stop_until_the_next_run():
    stopping.stop_all()
    with pytest.raises(StoppedError, match="was stopped"), stopping.on_stop(lambda: None):
        pytest.fail("it began")
    assert stopping.stop_requested()
    stopping.reset()
    with stopping.on_stop(lambda: None):
        pass


def test_a_process_whose_threads_cannot_be_interrupted_ends_all_the_same_with_its_children():
    script = """
        import subprocess, threading, time
        from tasks.base import processes, stopping
        threading.Thread(target=time.sleep, args=(200,)).start()
        child = subprocess.Popen(["/bin/sleep", "200"], start_new_session=True)
        print(child.pid, flush=True)
        stopping.end_process_after(0.5, exit_code=143)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, check=False, timeout=120
    )
    assert done.returncode == 143
    pid = int(done.stdout)
    wait_until(lambda: gone(pid))
