"""Processes that a killed run left: found by their environment, ended when their owner is dead."""

import contextlib

import psutil

from tasks.base.run import OWNER, SUBJECT, identity_of

_GRACE_SECONDS = 3.0


def end_orphans(subject: str) -> list[str]:
    """End every process that a dead run started for SYSTEM/DATABASE; return them as 'PID NAME'.

    The owner is known by PID and start time, so a PID that is used again is never taken for it.
    """
    orphans = [process for process in psutil.process_iter() if _is_orphan(process, subject)]
    names = []
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(f"{process.pid} {process.name()}")
            process.terminate()
    _, alive = psutil.wait_procs(orphans, timeout=_GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
    return names


def _is_orphan(process: psutil.Process, subject: str) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return environment.get(SUBJECT) == subject and not _alive(environment.get(OWNER, ""))


def _alive(owner: str) -> bool:
    """True when the process PID:START_TIME still runs; an owner that cannot be read counts as alive."""
    try:
        return identity_of(psutil.Process(int(owner.split(":", maxsplit=1)[0]))) == owner
    except psutil.NoSuchProcess:
        return False
    except (ValueError, psutil.AccessDenied):
        return True
