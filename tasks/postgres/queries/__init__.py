"""SQL, one statement a file."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_OLDEST = 15


@cache
def load(name: str, server_version_num: int = 0) -> bytes:
    """The statement in NAME.sql, or in the NAME.pgNN.sql of the highest major version that the server has reached."""
    for major in range(server_version_num // 10000, _OLDEST, -1):
        newer = _FOLDER / f"{name}.pg{major}.sql"
        if newer.exists():
            return newer.read_bytes()
    return (_FOLDER / f"{name}.sql").read_bytes()


@cache
def names(folder: str) -> tuple[str, ...]:
    """The names of all statements in a folder, as `load` takes them."""
    return tuple(f"{folder}/{path.stem}" for path in sorted((_FOLDER / folder).glob("*.sql")))
