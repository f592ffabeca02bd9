"""Stopping all that a run has begun: the main thread's `finally` calls `stop_all`, whatever the reason."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from tasks.base.errors import StoppedError

_WAIT_SECONDS = 8.0
_AGAIN_SECONDS = 0.5
_condition = threading.Condition()
_callbacks: dict[object, Callable[[], None]] = {}
_stopped = threading.Event()


@contextmanager
def on_stop(callback: Callable[[], None]) -> Iterator[None]:
    """While the block runs, a stop calls `callback` (from another thread, again until the block is left)."""
    key = object()
    with _condition:
        _callbacks[key] = callback
    try:
        raise_if_stopped()
        yield
    finally:
        with _condition:
            del _callbacks[key]
            _condition.notify_all()


def stop_all() -> None:
    """Ask everything registered to end, all at once, and wait until it has, eight seconds at most."""
    _stopped.set()
    with _condition:
        waiting = list(_callbacks.items())
    for key, callback in waiting:
        threading.Thread(target=_insist, args=(key, callback), daemon=True).start()
    with _condition:
        _condition.wait_for(lambda: not _callbacks, timeout=_WAIT_SECONDS)


def _insist(key: object, callback: Callable[[], None]) -> None:
    """Call again until it has ended: a query cancelled between two statements goes on with the next."""
    while key in _callbacks and _stopped.is_set():
        # One that cannot be ended must not keep the others from it; whoever registered it sees its own error.
        with contextlib.suppress(Exception):
            callback()
        with _condition:
            _condition.wait_for(lambda: key not in _callbacks, timeout=_AGAIN_SECONDS)


def end_process_after(seconds: float, exit_code: int) -> None:
    """End this process and all its descendants by then, whatever still blocks a thread: a sleep, a dead network."""

    def end() -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        os._exit(exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def stop_requested() -> bool:
    """True from `stop_all` until the next `reset`."""
    return _stopped.is_set()


def raise_if_stopped() -> None:
    """Raise StoppedError when a stop was requested; long loops call this."""
    if _stopped.is_set():
        raise StoppedError("the run was stopped; what it had begun was ended, start it again when ready")


def reset() -> None:
    """Begin a new run in this process."""
    _stopped.clear()
