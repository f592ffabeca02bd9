"""Whether the reviews of logs would get at their files."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tasks.base.clock import iso
from tasks.base.errors import MissingError, RefusedError
from tasks.logs.files import Reading, files_of

_EVER = datetime.fromtimestamp(0, UTC)


def reach(patterns: Sequence[str], since: datetime) -> str:
    """How many files were written since then and can be read; their beginning is read, no more.

    Raises MissingError when no file is there at all, RefusedError with the remedy for each that cannot be read.
    """
    reading = Reading()
    found = list(files_of(patterns, since))
    if not found and not list(files_of(patterns, _EVER)):
        raise MissingError(
            f"no file is at {', '.join(patterns)}; correct the pattern, or let this user look into the folder: "
            "setfacl -m u:nightshift:rx FOLDER"
        )
    for path in found:
        next(reading.blocks(path), None)
    if reading.missing:
        raise RefusedError("; ".join(reading.missing))
    return f"{len(found)} files that were written since {iso(since)} can be read"
