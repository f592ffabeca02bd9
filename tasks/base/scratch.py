"""Folders for what a run needs for a moment: for their owner only, gone afterwards, those of killed runs too."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path

from tasks.base.processes import identity_of, is_alive

_PREFIX = "nightshift-scratch-"


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder, mode 0700, that goes with all it holds when the block is left; in `parent`, or the temporary one.

    What runs that were killed left behind is removed first; it may hold secrets in clear.
    """
    remove_leftovers(parent)
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{identity_of(getpid()).replace(':', '.')}-", dir=parent)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: Path | None = None) -> None:
    """Remove the folders whose owner no longer runs."""
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-", maxsplit=1)[0].replace(".", ":")
        if not is_alive(owner):
            shutil.rmtree(folder, ignore_errors=True)
