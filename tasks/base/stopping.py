"""Stopping all that a run has begun: the main thread's `finally` calls `stop_all`, whatever the reason."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.base.errors import StoppedError

_WAIT_SECONDS = 8.0
_condition = threading.Condition()
_callbacks: dict[object, Callable[[], None]] = {}
_stopped = threading.Event()


@contextmanager
def on_stop(callback: Callable[[], None]) -> Iterator[None]:
    """While the block runs, a stop calls `callback` (from the stopping thread; it must be safe to call twice)."""
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
    """Ask everything registered to end, and wait until it has, eight seconds at most."""
    _stopped.set()
    with _condition:
        waiting = list(_callbacks.values())
    for callback in waiting:
        callback()
    with _condition:
        _condition.wait_for(lambda: not _callbacks, timeout=_WAIT_SECONDS)


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
