"""SQL, one statement a file."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def load(name: str, server_version_num: int = 0) -> bytes:
    """The statement in NAME.sql, or in NAME.pgNN.sql for servers of that major version and above."""
    major = server_version_num // 10000
    newer = {int(path.name.removesuffix(".sql").rsplit(".pg", 1)[1]): path for path in _FOLDER.glob(f"{name}.pg*.sql")}
    fitting = [number for number in newer if number <= major]
    return (newer[max(fitting)] if fitting else _FOLDER / f"{name}.sql").read_bytes()


@cache
def names(folder: str) -> tuple[str, ...]:
    """The names of all statements in a folder, as `load` takes them."""
    return tuple(f"{folder}/{path.stem}" for path in sorted((_FOLDER / folder).glob("*.sql")))
