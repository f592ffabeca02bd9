"""Processes that a killed run left: found by their environment, ended when their owner is dead."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

from tasks.base.processes import end_processes, is_alive
from tasks.base.run import OWNER, SUBJECT


def end_orphans(subject: str) -> list[str]:
    """End every process that a dead run started for SYSTEM/DATABASE; return them as 'PID NAME'.

    The owner is known by PID and start time, so a PID that is used again is never taken for it.
    """
    orphans = [process for process in _marked(subject) if _is_orphan(process, subject)]
    names = []
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            names.append(f"{process.pid} {process.name()}")
    end_processes(orphans)
    return names


def _marked(subject: str) -> Iterator[psutil.Process]:
    """The processes that carry the subject; read from /proc, for psutil asks each of hundreds for far more."""
    mark = f"{SUBJECT}={subject}".encode()
    for place in Path("/proc").iterdir():
        with contextlib.suppress(OSError, psutil.Error):
            if place.name.isdigit() and mark in (place / "environ").read_bytes().split(b"\0"):
                yield psutil.Process(int(place.name))


def _is_orphan(process: psutil.Process, subject: str) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return environment.get(SUBJECT) == subject and not is_alive(environment.get(OWNER, ""))
