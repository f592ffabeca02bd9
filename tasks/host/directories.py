"""How much a directory takes up on disk, counted as `du` counts."""

import os
from collections.abc import Iterator
from pathlib import Path

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import IncompleteError

_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own
_LOOKED_EVERY = 1000


def matching(pattern: str) -> list[str]:
    """The directories that a pattern names, links to directories left out."""
    found = Path("/").glob(pattern.strip("/"))
    return sorted(str(path) for path in found if path.is_dir() and not path.is_symlink())


def directory_bytes(path: str, deadline_seconds: float) -> int:
    """Bytes on disk of everything below, a file with several names once, links not followed.

    Raises IncompleteError when a part could not be read, or time ran out: half a sum is none.
    """
    elapsed, total, unreadable = stopwatch(), 0, 0
    several_names: set[tuple[int, int]] = set()
    for number, entry in enumerate(_below(path)):
        if isinstance(entry, OSError):
            # What is deleted while it is counted takes up nothing.
            unreadable += not isinstance(entry, FileNotFoundError)
            continue
        if entry.st_nlink == 1 or (entry.st_dev, entry.st_ino) not in several_names:
            total += entry.st_blocks * _BLOCK_BYTES
        if entry.st_nlink > 1:
            several_names.add((entry.st_dev, entry.st_ino))
        if number % _LOOKED_EVERY == 0:
            stopping.raise_if_stopped()
            if elapsed() > deadline_seconds:
                raise IncompleteError(
                    "it was not counted to its end in time; raise capacity.host.directories_deadline_seconds"
                )
    if unreadable:
        raise IncompleteError(f"{unreadable} folders or files in it may not be read; sudo du -sh {path}")
    return total


def _below(path: str) -> Iterator[os.stat_result | OSError]:
    """What the directory itself and everything below it says of itself, or why it says nothing."""
    waiting = [path]
    try:
        yield os.lstat(path)
    except OSError as error:
        yield error
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                    except OSError as error:
                        yield error
        except OSError as error:
            yield error
