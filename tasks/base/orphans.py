"""Processes that a killed run left: found by their environment, ended when their owner is dead."""

import contextlib

import psutil

from tasks.base.processes import end_processes, is_alive
from tasks.base.run import OWNER, SUBJECT


def end_orphans(subject: str) -> list[str]:
    """End every process that a dead run started for SYSTEM/DATABASE; return them as 'PID NAME'.

    The owner is known by PID and start time, so a PID that is used again is never taken for it.
    """
    orphans = [process for process in psutil.process_iter() if _is_orphan(process, subject)]
    names = []
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            names.append(f"{process.pid} {process.name()}")
    end_processes(orphans)
    return names


def _is_orphan(process: psutil.Process, subject: str) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return environment.get(SUBJECT) == subject and not is_alive(environment.get(OWNER, ""))
