"""Processes by group and by identity, read from /proc: who still runs, and how a whole group is ended."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tasks.base.clock import stopwatch

_GRACE_SECONDS = 3.0
_FIRST_POLL_SECONDS, _POLL_SECONDS = 0.001, 0.02
_DEAD = ("Z", "X")
# Signals whose handlers raise in the main thread: Prefect's for a cancel, Python's for Ctrl-C.
_RAISING = (signal.SIGTERM, signal.SIGINT)


def identity_of(pid: int) -> str:
    """A process as PID:START, unique when the PID is used again; START is in clock ticks since the machine's boot.

    A start by the wall clock would change when the clock is set. Raises ProcessLookupError.
    """
    return f"{pid}:{_stat(pid)[19]}"


def is_alive(identity: str) -> bool:
    """True when that very process still runs, zombies excluded; an identity that cannot be read counts as alive."""
    try:
        pid = int(identity.split(":", maxsplit=1)[0])
        return _stat(pid)[0] not in _DEAD and identity_of(pid) == identity
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True


def end_group(group: int) -> None:
    """TERM to the whole group and to all descendants of its leader, wait, KILL; safe to call again and by two."""
    if not group_alive(group):
        return
    beside = _outside_of_group(group)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        for process in beside:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        waited, pause = stopwatch(), _FIRST_POLL_SECONDS
        while waited() < _GRACE_SECONDS:
            if not group_alive(group) and not any(_runs(process) for process in beside):
                return
            threading.Event().wait(pause)
            pause = min(2 * pause, _POLL_SECONDS)


def end_processes(processes: Iterable[psutil.Process], number: int = signal.SIGTERM) -> None:
    """Send each process that signal, wait three seconds, KILL those that are left, wait again.

    One that its parent has not reaped yet holds nothing any more and has ended.
    """
    left = list(processes)
    for signal_number in (number, signal.SIGKILL):
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal_number)
        waited, pause = stopwatch(), _FIRST_POLL_SECONDS
        while (left := [process for process in left if _runs(process)]) and waited() < _GRACE_SECONDS:
            threading.Event().wait(pause)
            pause = min(2 * pause, _POLL_SECONDS)


def group_alive(group: int) -> bool:
    """True while a process of the group is more than a zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie that nobody has reaped answers too, so somebody has to be looked for.
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            state, _, its_group = _stat(pid)[:3]
            if int(its_group) == group and state not in _DEAD:
                return True
    return False


@contextmanager
def signals_held_back() -> Iterator[None]:
    """While the block runs, nothing raises in it because of a signal; what arrived is delivered at its end.

    Without it a cancel between fork and exec would unwind the caller's code in the child, and one right after the
    fork would leave a child that nobody knows of.
    """
    if threading.current_thread() is not threading.main_thread():
        with _masked():
            yield
        return
    arrived: list[int] = []
    on_interrupt = signal.signal(signal.SIGINT, lambda number, _frame: arrived.append(number))
    on_term = signal.signal(signal.SIGTERM, lambda number, _frame: arrived.append(number))
    try:
        with _masked():
            yield
    finally:
        try:
            signal.signal(signal.SIGTERM, on_term)  # from here on it raises again
        finally:
            signal.signal(signal.SIGINT, on_interrupt)
        for number in arrived:
            signal.raise_signal(number)


@contextmanager
def _masked() -> Iterator[None]:
    """This thread, and a child that it forks, does not take these signals; another thread of the process may."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _RAISING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def child_setup(run_as: int | None) -> Callable[[], None]:
    """What a child does between fork and exec: take signals again, by their default; become another user."""

    def prepare() -> None:
        for number in _RAISING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _RAISING)
        if run_as is not None:
            os.setgroups([])
            os.setgid(run_as)
            os.setuid(run_as)

    return prepare


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: state, parent, group, …; see proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    return text.rpartition(")")[2].split()


def _outside_of_group(leader: int) -> list[psutil.Process]:
    """Descendants of the leader that made a group or session of their own."""
    try:
        return [one for one in psutil.Process(leader).children(recursive=True) if os.getpgid(one.pid) != leader]
    except (psutil.Error, ProcessLookupError):
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
