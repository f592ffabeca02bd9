"""The spool of a restore: disk that is there before it begins, files for their owner only, and the growth of a copy."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO, cast

import psycopg
from psycopg import Connection

from tasks.base.backup import RestoreTestPolicy
from tasks.base.errors import NightshiftError, RefusedError
from tasks.base.units import human

_WATCH_SECONDS = 2.0


@contextmanager
def spool_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, for its owner only. Raises RefusedError when it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except NightshiftError:
        raise
    except OSError as error:
        raise RefusedError(
            f"the spool {path.name} cannot be written ({error.strerror}); free disk or set restore_test.folder"
        ) from None


def check_disk(folder: Path, policy: RestoreTestPolicy, needed_bytes: int, work: str) -> None:
    """Raise RefusedError when the disk of the folder, or the budget, does not hold what `work` needs there."""
    free = shutil.disk_usage(folder).free
    budget = min(free, policy.disk_budget_bytes or free)
    if needed_bytes > budget:
        raise RefusedError(
            f"{work} needs about {_exactly(needed_bytes)} below {folder}, {_exactly(free)} are free and "
            f"the budget is {_exactly(budget)}; free some, or set restore_test.folder or restore_test.disk_budget_bytes"
        )


@contextmanager
def watching_size(
    opened: Callable[[], Connection[tuple[object, ...]]], dbname: str, on_size: Callable[[int], None]
) -> Iterator[None]:
    """While the block runs, tell every two seconds how large a database has become, in bytes.

    `opened` opens an autocommitting session of its own beside the block; one that fails ends the telling, no more.
    """
    ended = Event()

    def watch() -> None:
        with suppress(psycopg.Error, NightshiftError), opened() as connection:
            while not ended.wait(_WATCH_SECONDS):
                row = connection.execute("SELECT pg_database_size(%s)", (dbname,)).fetchone()
                on_size(cast(int, row[0]) if row else 0)

    watcher = Thread(target=copy_context().run, args=(watch,))
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _exactly(size_bytes: int) -> str:
    """The size in bytes, and as people say it."""
    return f"{size_bytes} bytes ({human(size_bytes, 'bytes')})"
