"""Trying a dump that Nightshift did not write: does it restore, and what is in it? Nothing to compare it with."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import Field

from tasks.base import stopping
from tasks.base.backup import FingerprintMode, FingerprintPolicy, RestoreTestPolicy, SqlAssertion
from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, CorruptError
from tasks.base.programs import reading_from, writing_to
from tasks.base.secrets import resolve
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.restore import dumps
from tasks.postgres.restore.archive import (
    PLAIN_DATABASE,
    PSQL,
    listing_of,
    locale_note,
    make_database,
    make_plain_database,
    restore_archive,
)
from tasks.postgres.restore.asking import ask, check_structures, command_path
from tasks.postgres.restore.ladder import Broken, Ladder, Progress
from tasks.postgres.restore.sandbox import Sandbox, sandbox, sandbox_binaries
from tasks.postgres.restore.script import Adapter
from tasks.postgres.restore.spool import spool_file
from tasks.repository.local import LocalStore
from tasks.repository.store import Store

_VERSION = re.compile(r"Dumped by pg_dump version:? (\d+)")
_HEAD_BYTES = 1024 * 1024
_COUNTS = FingerprintPolicy(mode=FingerprintMode.COUNTS)


class DumpProof(Frozen):
    """The record of a dump that was tried; its fields are called as those of a receipt."""

    backup_id: str = Field(description="Key of the dump below its place")
    database: str = Field(description="The databases that came into being")
    size_bytes: int
    modified_at: datetime
    started_at: datetime
    finished_at: datetime
    verdict: Verdict
    proven: Literal["nothing to compare with", "not proven"]
    tables: int = 0
    rows: int = 0
    rungs: tuple[CheckResult, ...]
    rto_seconds: float | None = Field(description="From the start until the copy answered queries and was counted")
    rpo_seconds: float = Field(description="Age of the dump by its modification time when the test began")


def try_dump(
    store: Store, dump: dumps.Dump, policy: RestoreTestPolicy, assertions: Sequence[SqlAssertion], on_progress: Progress
) -> DumpProof:
    """Climb the ladder for one dump; a bad dump raises nothing, the rung that failed says why.

    The verdict is at best INFO: that it restores is known, that nothing is missing is not. Raises what `prove` raises.
    """
    started, ladder = utc_now(), Ladder(dump.name, on_progress, policy.deadline_seconds)
    if dump.encrypted and policy.identity is None:
        raise ConfigurationError(f"{dump.shown} is encrypted; name a system whose restore_test.identity opens it")
    identity = resolve(policy.identity) if dump.encrypted and policy.identity else None
    command, newest = command_path(policy), sandbox_binaries(None, policy.binaries)
    counted, rto = Counted(), None
    with suppress(Broken), sandbox(policy, _needed_bytes(dump)) as box:
        box.binaries = newest
        _Climb(store, dump, policy, identity, box, ladder).restore()
        counted = _count(ladder, box)
        rto = ladder.hold_rto(policy.rto_seconds)
        check_structures(ladder, box, counted.databases, until=95)
        ask(ladder, box, counted.databases[0], assertions, command, until=100)
    return DumpProof(
        backup_id=dump.shown,
        database=", ".join(counted.databases),
        size_bytes=dump.size_bytes,
        modified_at=dump.modified_at,
        started_at=started,
        finished_at=utc_now(),
        verdict=ladder.verdict,
        proven="not proven" if ladder.verdict.is_red else "nothing to compare with",
        tables=counted.tables,
        rows=counted.rows,
        rungs=tuple(ladder.rungs),
        rto_seconds=rto,
        rpo_seconds=(started - dump.modified_at).total_seconds(),
    )


def _needed_bytes(dump: dumps.Dump) -> int:
    """A rough guess: archives and most scripts are compressed to a fifth, and indexes come on top."""
    return dump.size_bytes * (2 if dump.key.endswith((".sql", ".tar")) else 5)


@dataclass(frozen=True)
class Counted:
    """What came into being; the database with the most tables first."""

    databases: tuple[str, ...] = ()
    tables: int = 0
    rows: int = 0


def _count(ladder: Ladder, box: Sandbox) -> Counted:
    """Every row of every table counted, in every database of the sandbox. No table at all is FAIL."""
    with ladder.rung("count", until=88) as rung:
        with box.connect("template1") as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1'")
            names = [str(row[0]) for row in found]
        policy = _COUNTS.model_copy(update={"connections": box.policy.jobs})
        tables = {name: collect(box.database(name), None, policy, "nightshift:restore-test").tables for name in names}
        counted = Counted(
            databases=tuple(sorted((name for name in names if tables[name]), key=lambda name: -len(tables[name]))),
            tables=sum(len(found) for found in tables.values()),
            rows=sum(table.rows or 0 for found in tables.values() for table in found),
        )
        if not counted.tables:
            raise CorruptError("restores, but holds no table; look at the job that writes the dumps")
        rung.inform(f"restores, with {counted.tables} tables and {counted.rows} rows; nothing to compare with")
    return counted


@dataclass(frozen=True)
class _Climb:
    store: Store
    dump: dumps.Dump
    policy: RestoreTestPolicy
    identity: str | None
    box: Sandbox
    ladder: Ladder

    def restore(self) -> None:
        """Restore by what the bytes are, whatever the name says."""
        if self.dump.is_folder:
            with self.ladder.rung("read", until=20):
                archive = self._folder()
            self._restore_archive(archive, parallel=True)
            return
        with self.ladder.rung("read", until=20), dumps.opened(self.store, self.dump, self.identity) as chunks:
            head = _head(chunks)
            is_tar = head[257:262] == b"ustar"
            is_archive = is_tar or head.startswith(b"PGDMP")
            archive = self._file(chain([head], chunks)) if is_archive else Path()
        if is_archive:
            self._restore_archive(archive, parallel=not is_tar)
        else:
            self._run_script(_VERSION.search(head.decode(errors="replace")))

    def _folder(self) -> Path:
        """The folder itself where it is a local one, else a copy of it."""
        if isinstance(self.store, LocalStore):
            return self._in_place(self.store.folder / self.dump.key)
        copy = self.box.folder / "archive"
        copy.mkdir(mode=0o700)
        prefix = f"{self.dump.key}/" if self.dump.key else ""
        for item in self.store.list(prefix):
            with spool_file(copy / item.key.removeprefix(prefix)) as spool, self.store.reading(item.key) as source:
                while chunk := source.read(dumps.CHUNK_BYTES):
                    spool.write(chunk)
        return copy

    def _file(self, chunks: Iterator[bytes]) -> Path:
        """The file itself where it lies in a local folder as it is, else a plain copy of it."""
        if isinstance(self.store, LocalStore) and dumps.lies_plain(self.store, self.dump):
            return self._in_place(self.store.folder / self.dump.key)
        copy = self.box.folder / "archive"
        with spool_file(copy) as spool:
            for chunk in chunks:
                spool.write(chunk)
        return copy

    def _in_place(self, path: Path) -> Path:
        """The path itself, or a link to it where bytes in it are no UTF-8: they could not be handed to a program."""
        if self.dump.shown == self.dump.key:
            return path
        link = self.box.folder / "archive"
        link.symlink_to(path.absolute())
        return link

    def _start(self, written_by: re.Match[str] | None) -> None:
        """A server of the major version that wrote the dump, or newer; of the newest when it does not say."""
        with self.ladder.rung("sandbox start"):
            major = int(written_by[1]) if written_by else None
            self.box.start(sandbox_binaries(major, self.policy.binaries))
            assert self.box.server

    def _restore_archive(self, archive: Path, *, parallel: bool) -> None:
        with self.ladder.rung("table of contents") as rung:
            listing = listing_of(self.box, str(archive))
            entries = [line for line in listing.splitlines() if line and not line.startswith(";")]
            rung.message = f"{len(entries)} entries"
        self._start(_VERSION.search(listing))
        script = self.box.program("pg_restore", "--create", "--schema-only", "--file=-", str(archive))
        with self.ladder.rung("roles") as rung, self.box.connect("template1") as connection:
            adapter = Adapter(connection, self.dump.name)
            with reading_from(script) as source:
                for _ in adapter.adapted(iter(lambda: source.read(dumps.CHUNK_BYTES), b"")):
                    stopping.raise_if_stopped()
            rung.message = _made(adapter)
        name = make_database(self.ladder, self.box, str(archive))
        restore_archive(self.ladder, self.box, str(archive), name, 5 * self.dump.size_bytes, parallel=parallel)

    def _run_script(self, written_by: re.Match[str] | None) -> None:
        """psql runs it as the user that the sandbox runs as: a script may hold any command."""
        self._start(written_by)
        with self.ladder.rung("restore", until=75) as rung, ExitStack() as opened:
            make_plain_database(self.box)
            connection = opened.enter_context(self.box.connect(PLAIN_DATABASE))
            chunks = opened.enter_context(dumps.opened(self.store, self.dump, self.identity))
            adapter = Adapter(connection, self.dump.name)
            arguments = (*PSQL, "--file=-", self.box.server.dsn(PLAIN_DATABASE))
            server = self.box.server
            program = self.box.program("psql", *arguments).model_copy(
                update={
                    "arguments": (str(server.binaries / "psql"), *arguments),
                    "run_as": server.run_as,
                    "cwd": self.box.folder,
                }
            )
            with writing_to(program) as pipe:
                for chunk in adapter.adapted(chunks):
                    pipe.write(chunk)
            rung.message = _made(adapter)
        if adapter.lacking_locale:
            self.ladder.record("database", Verdict.SKIP, locale_note(adapter.lacking_locale), 0.0)


def _head(chunks: Iterator[bytes]) -> bytes:
    head = b""
    while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
        head += chunk
    return head


def _made(adapter: Adapter) -> str:
    """Which roles had to be made: a dump of one database names roles, but does not hold them."""
    made = adapter.made_roles
    return f"{len(made)} roles that the dump names but does not hold were made: {', '.join(made)}" if made else ""
