"""What a scanner must not be allowed to pass over: time that ran out, places that it cannot read."""

import os
from collections.abc import Sequence
from pathlib import Path

from tasks.base.errors import IncompleteError, ToolFailedError
from tasks.base.programs import Finished, Program, run

_NAMED_PLACES = 3
_SAID = 500


def run_scanner(program: Program) -> Finished:
    """Run a scanner. Past its deadline it has not seen all: IncompleteError; else errors as of `programs.run`."""
    try:
        return run(program)
    except ToolFailedError as error:
        if not error.retryable:
            raise
        raise IncompleteError(f"{error}; give it more time in security.timeout_seconds") from None


def last_line(said: str) -> str:
    """What a scanner wrote last: where its report cannot be read, that is the reason."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][-_SAID:] if lines else "nothing"


def require_readable(folder: Path, without: Sequence[str] = ()) -> None:
    """Raise ToolFailedError when the folder is missing or empty, IncompleteError when parts of it cannot be read.

    Scanners pass over what they may not read, and then call the rest clean. `without` are names at its top.
    """
    if not folder.is_dir():
        raise ToolFailedError(f"{folder} is no folder on this host; correct its path in the system file")
    hidden: list[str] = []
    files = 0

    def note(error: OSError) -> None:
        hidden.append(str(error.filename))

    for place, folders, names in os.walk(folder, onerror=note):
        if place == str(folder):
            folders[:] = [name for name in folders if name not in without]
        files += len(names)
        hidden += [
            path
            for name in (*folders, *names)
            if not os.path.islink(path := os.path.join(place, name))  # noqa: PTH114, PTH118 - a million of them
            and not os.access(path, os.R_OK)
        ]
    if hidden:
        named = ", ".join(sorted(set(hidden))[:_NAMED_PLACES])
        raise IncompleteError(
            f"{len(set(hidden))} places in {folder} cannot be read by this user, such as {named}; "
            "give the right, or let a user who has it run the scan"
        )
    if not files:
        raise ToolFailedError(f"{folder} holds no file: there is nothing that could be clean; correct its path")
