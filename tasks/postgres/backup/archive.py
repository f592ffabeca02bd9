"""The archive of a logical backup: pg_dump streamed into the repository, its table of contents read on the way."""

import select
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tasks.base import stopping
from tasks.base.backup import BackupPolicy
from tasks.base.clock import stopwatch
from tasks.base.errors import ToolFailedError
from tasks.base.programs import Program, reading_from, writing_to
from tasks.postgres.clients import Clients
from tasks.repository.store import Store
from tasks.repository.streams import CHUNK_BYTES, StreamSummary, storing

# pg_dump writes 4 KiB at a time, and a read for each of them would cost more than encryption does. Little is left to
# gather for a moment; the pipe does not fill up in it.
_GATHER_SECONDS = 0.001
# The readers of the snapshot hold all tables already, so whatever waits longer waits behind who waits for them.
_LOCK_WAIT = "3s"
Progress = Callable[[int], None]


def dump_program(
    clients: Clients, dsn: str, environment: dict[str, str], snapshot: str, encoding: str, policy: BackupPolicy
) -> Program:
    """pg_dump of the whole database in the custom format, uncompressed, in that snapshot, to its output.

    Names and rows are written in UTF-8, unless `encoding` is SQL_ASCII, whose bytes are of no known encoding.
    """
    arguments = (
        str(clients.folder / "pg_dump"),
        *(() if encoding == "SQL_ASCII" else ("--encoding=UTF8",)),
        "--format=custom",
        "--compress=0",
        "--no-password",
        f"--lock-wait-timeout={_LOCK_WAIT}",
        f"--snapshot={snapshot}",
        f"--dbname={dsn}",
    )
    return Program(arguments=arguments, environment=environment, deadline_seconds=policy.deadline_seconds)


def overtaken(error: ToolFailedError) -> bool:
    """Whether pg_dump gave up because somebody else waits for a table that it must lock; a new snapshot helps."""
    return "canceling statement due to statement timeout" in str(error)


def globals_program(
    clients: Clients, dsn: str, environment: dict[str, str], dbname: str, policy: BackupPolicy
) -> Program:
    """pg_dumpall of roles, memberships and their settings, to its output."""
    # It takes only the server from the dsn: without --database it wants to enter 'postgres' or 'template1'.
    arguments = [
        str(clients.folder / "pg_dumpall"),
        "--globals-only",
        "--no-password",
        f"--dbname={dsn}",
        f"--database={dbname}",
    ]
    if not policy.role_passwords:
        arguments.append("--no-role-passwords")
    return Program(arguments=tuple(arguments), environment=environment, deadline_seconds=policy.deadline_seconds)


def store_archive(
    program: Program,
    clients: Clients,
    store: Store,
    key: str,
    policy: BackupPolicy,
    recipients: Sequence[str],
    on_progress: Progress,
) -> tuple[StreamSummary, str]:
    """Stream the dump into the repository; return what was stored, and the archive's table of contents.

    The table of contents is read by `pg_restore --list` from the head of the same stream, so nothing touches a disk.
    Raises ToolFailedError when a program fails or when no byte came for `stall_timeout_seconds`.
    """
    lister = Program(arguments=(str(clients.folder / "pg_restore"), "--list"), deadline_seconds=policy.deadline_seconds)
    with tempfile.TemporaryFile() as contents:
        with (
            storing(
                store, key, level=policy.compression_level, threads=policy.compression_threads, recipients=recipients
            ) as stored,
            reading_from(program) as raw,
            writing_to(lister, stdout=contents) as head,
        ):
            listing = True
            for chunk in chunks(raw, policy.stall_timeout_seconds, Path(program.arguments[0]).name):
                stored.write(chunk)
                listing = listing and _feed(head, chunk)
                on_progress(stored.raw_bytes)
        contents.seek(0)
        return stored.summary, contents.read().decode(errors="replace")


def store_output(
    program: Program, store: Store, key: str, policy: BackupPolicy, recipients: Sequence[str]
) -> StreamSummary:
    """Stream the output of a program into the repository."""
    with (
        storing(store, key, level=policy.compression_level, threads=0, recipients=recipients) as stored,
        reading_from(program) as raw,
    ):
        for chunk in chunks(raw, policy.stall_timeout_seconds, Path(program.arguments[0]).name):
            stored.write(chunk)
    return stored.summary


def store_text(text: str, store: Store, key: str, policy: BackupPolicy, recipients: Sequence[str]) -> StreamSummary:
    """Store a text as a data object of a backup."""
    with storing(store, key, level=policy.compression_level, threads=0, recipients=recipients) as stored:
        stored.write(text.encode())
    return stored.summary


def chunks(raw: BinaryIO, stall_timeout_seconds: float, name: str) -> Iterator[bytes]:
    """All bytes of a pipe in order. Raises ToolFailedError when none came for so long, StoppedError on a stop."""
    idle = stopwatch()
    while True:
        stopping.raise_if_stopped()
        if not select.select([raw], [], [], 1.0)[0]:
            if idle() > stall_timeout_seconds:
                raise ToolFailedError(
                    f"{name} moved no byte for {stall_timeout_seconds:.0f} s and was ended; "
                    "look for a lock or a lost network between here and the server",
                    retryable=True,
                )
            continue
        chunk = raw.read(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk
        idle = stopwatch()
        if len(chunk) < CHUNK_BYTES:
            threading.Event().wait(_GATHER_SECONDS)


def _feed(head: BinaryIO, chunk: bytes) -> bool:
    """Hand the chunk to the lister; False once it has read the table of contents and closed its input."""
    view = memoryview(chunk)
    try:
        while view:
            view = view[head.write(view) :]
    except BrokenPipeError:
        return False
    return True
