"""Gates of a rebuild: asked before it begins and watched while it runs; it cancels itself when one closes."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tasks.base.maintenance import MaintenancePolicy
from tasks.postgres import queries
from tasks.postgres.inspect.relations import Index, ServerFacts
from tasks.postgres.maintain.session import Session

_POLL_SECONDS = 0.25
# Rebuilds beside writers broke indexes in 14.0 to 14.3 (release notes of 14.4); later majors were born mended.
_BROKEN = range(140000, 140004)
_COPIES = 2


def closed(session: Session, index: Index, policy: MaintenancePolicy, facts: ServerFacts, pid: int = 0) -> str:
    """The reason why a rebuild must not begin or go on, apart from the disk; empty when nothing is in the way."""
    if facts.server_version_num in _BROKEN:
        return "REINDEX CONCURRENTLY breaks indexes before 14.4; update the server first"
    bound = {
        "pid": pid,
        "table_oid": index.table_oid,
        "old_snapshot_seconds": policy.old_snapshot_seconds,
        "replica_lag_bytes": policy.replica_lag_bytes,
        "blocked_seconds": policy.blocked_seconds,
    }
    row = session.execute(queries.load("gates"), bound).fetchone()
    return str(row[0]) if row else ""


def disk_closed(index: Index, policy: MaintenancePolicy, facts: ServerFacts) -> str:
    """The reason when the disk has no room for two more of the index, or nobody here can know; empty when it has."""
    free = free_bytes(index, policy, facts)
    if free is None:
        return "the free disk of the server is not known from here; set maintenance.disk_bytes to its size"
    needed = _COPIES * index.size_bytes
    return "" if free >= needed else f"the server's disk has {free} bytes free, a rebuild needs {needed}"


def free_bytes(index: Index, policy: MaintenancePolicy, facts: ServerFacts) -> int | None:
    """Free bytes where the index lies; None when the server is elsewhere and the size of its disk is not configured."""
    if policy.disk_bytes is not None:
        return max(0, policy.disk_bytes - facts.cluster_bytes)
    folder = Path(index.location) if index.location else facts.data_folder
    if not facts.local or folder is None:
        return None
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


@contextmanager
def watching(session: Session, ask: Callable[[], str]) -> Iterator[list[str]]:
    """While the block runs, ask four times a second; the first reason cancels what `session` does and is yielded.

    A watcher that cannot ask any more (its own session died) counts as a closed gate.
    """
    reasons: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            try:
                reason = ask()
            except psycopg.Error as error:
                reason = f"the gates cannot be watched: {' '.join(str(error).split())}"
            if reason:
                reasons.append(reason)
                # Again until the block is left: one that arrives between two statements is lost.
                while not over.is_set():
                    # One that does not get through is sent again; the watcher itself must not die of it.
                    with contextlib.suppress(psycopg.Error):
                        session.cancel()
                    over.wait(_POLL_SECONDS)
                return

    watcher = threading.Thread(target=watch, name="gates", daemon=True)
    watcher.start()
    try:
        yield reasons
    finally:
        over.set()
        watcher.join()
