"""Proving a logical backup: restore it into a sandbox and compare what came back with what the source held."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg import Connection, sql

from tasks.base.clock import stopwatch
from tasks.base.errors import CorruptError, RefusedError, ToolFailedError
from tasks.base.programs import Program, output_of, run
from tasks.base.secrets import resolve
from tasks.base.system import Database, FingerprintMode, FingerprintPolicy, RestoreTestPolicy
from tasks.base.words import CheckResult
from tasks.postgres.connection import connect
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.restore.assertions import assert_sql
from tasks.postgres.restore.ladder import Broken, Ladder
from tasks.postgres.restore.sandbox import SUPERUSER, sandbox, sandbox_binaries
from tasks.postgres.server import LocalServer
from tasks.repository.manifest import Manifest
from tasks.repository.store import Store
from tasks.repository.streams import fetching

_TABLESPACE = re.compile(rb"^(CREATE|ALTER|COMMENT ON|(GRANT|REVOKE) .* ON) TABLESPACE ")
_GRANTED_BY = re.compile(rb" GRANTED BY (\"(?:[^\"]|\"\")*\"|[^ ;]+);")


@dataclass(frozen=True)
class Proof:
    """What a restore test found."""

    rungs: tuple[CheckResult, ...]
    proven: str
    rto_seconds: float | None


def prove(store: Store, manifest: Manifest, policy: RestoreTestPolicy) -> Proof:
    """Climb the ladder for one backup; never raises for a bad backup, the rung that failed says why.

    RTO is measured from the start until the restored copy was compared.
    """
    ladder, elapsed = Ladder(manifest.backup_id), stopwatch()
    rto: float | None = None
    try:
        identity = _identity(ladder, manifest, policy)
        with ladder.rung("programs"):
            binaries = sandbox_binaries(manifest.client_major, policy.binaries)
        # The spool is the raw archive; the restored copy is at most the database itself, with its indexes built anew.
        needed = manifest.file("archive").raw_bytes + manifest.database_bytes
        with ladder.rung("sandbox"), sandbox(binaries, policy, needed) as (server, folder):
            climb = _Climb(store, manifest, policy, identity, binaries, server, folder, ladder)
            climb.fetch_and_restore()
            climb.compare()
            rto = round(elapsed(), 3)
            climb.check_structures()
            climb.ask()
    except Broken:
        pass
    return Proof(rungs=tuple(ladder.rungs), proven=ladder.proven, rto_seconds=rto)


def _identity(ladder: Ladder, manifest: Manifest, policy: RestoreTestPolicy) -> str | None:
    if not manifest.recipients:
        return None
    with ladder.rung("identity"):
        if policy.identity is None:
            raise RefusedError("the backup is encrypted and no age identity is configured; set restore_test.identity")
        return resolve(policy.identity)


@dataclass(frozen=True)
class _Climb:
    store: Store
    manifest: Manifest
    policy: RestoreTestPolicy
    identity: str | None
    binaries: Path
    server: LocalServer
    folder: Path
    ladder: Ladder

    @property
    def copy(self) -> Database:
        """The restored database, as the fingerprint reads it."""
        return Database(name="sandbox", dsn=self.server.dsn(self.manifest.database_name))

    def fetch_and_restore(self) -> None:
        """Hash and decrypt to the spool, list, globals, restore."""
        archive, roles = self.folder / "archive.dump", self.folder / "globals.sql"
        with self.ladder.rung("hash and decrypt"):
            self._fetch("archive", archive)
            self._fetch("globals", roles)
        with self.ladder.rung("table of contents") as rung:
            listed = output_of(self._program("pg_restore", "--list", str(archive)), 256 * 1024 * 1024)
            recorded = self._read("toc")
            if _entries(listed) != _entries(recorded):
                raise CorruptError("the archive lists other entries than were recorded at backup time")
            rung.message = f"{len(_entries(listed))} entries"
        with self.ladder.rung("globals"):
            _contain(roles)
            psql = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={roles}", self.server.dsn("template1"))
            run(self._program("psql", *psql))
        with self.ladder.rung("restore"):
            self._drop_existing()
            run(
                self._program(
                    "pg_restore",
                    "--create",
                    "--exit-on-error",
                    "--no-tablespaces",
                    f"--jobs={self.policy.jobs}",
                    f"--dbname={self.server.dsn('template1')}",
                    str(archive),
                )
            )
            archive.unlink()

    def compare(self) -> None:
        """Compare the fingerprint of the copy with the one taken inside the dump's snapshot."""
        with self.ladder.rung("fingerprint") as rung:
            source = Fingerprint.model_validate_json(self._read("fingerprint"))
            restored = collect(self.copy, None, self._same_modes(source), "nightshift:restore-test")
            rung.findings = compare(source, restored)
            rung.message = f"{len(source.tables)} tables and what is compared beside them came back as they were"
            if self.manifest.fingerprint_mode is FingerprintMode.OFF:
                rung.skip("the backup was made without a fingerprint; set backup.fingerprint.mode")

    def check_structures(self) -> None:
        """pg_amcheck over all tables and B-trees of the copy."""
        with self.ladder.rung("amcheck") as rung:
            with connect(self.copy, application_name="nightshift:restore-test") as connection:
                missing = _available(connection, "amcheck")
            if missing:
                rung.skip(missing)
                return
            run(
                self._program(
                    "pg_amcheck", "--install-missing", "--no-password", f"--jobs={self.policy.jobs}", self.copy.dsn
                )
            )

    def ask(self) -> None:
        """SQL assertions, then the configured command."""
        asked = self.policy.assertions + self.policy.database_assertions.get(self.manifest.database, ())
        if asked:
            with (
                self.ladder.rung("assertions") as rung,
                connect(self.copy, application_name="nightshift:restore-test") as connection,
            ):
                rung.findings = [assert_sql(connection, assertion) for assertion in asked]
                rung.message = f"{len(asked)} hold"
        if self.policy.command:
            with self.ladder.rung("command"):
                self._command()

    def _command(self) -> None:
        found = shutil.which(self.policy.command[0])
        if found is None:
            raise RefusedError(f"restore_test.command: program '{self.policy.command[0]}' is not on PATH; install it")
        with connect(self.copy, application_name="nightshift:restore-test") as connection:
            info = connection.info
            place = {"PGHOST": info.host, "PGPORT": str(info.port), "PGUSER": SUPERUSER, "PGDATABASE": info.dbname}
        run(
            Program(
                arguments=(found, *self.policy.command[1:]),
                environment=place,
                deadline_seconds=self.policy.command_timeout_seconds,
            )
        )

    def _drop_existing(self) -> None:
        """The fresh sandbox has a database 'postgres'; a restored one of that name takes its place."""
        maintenance = Database(name="sandbox", dsn=self.server.dsn("template1"))
        with connect(maintenance, application_name="nightshift:restore-test") as connection:
            connection.autocommit = True
            name = sql.Identifier(self.manifest.database_name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))

    def _same_modes(self, source: Fingerprint) -> FingerprintPolicy:
        """Hash exactly what the source's fingerprint hashed."""
        modes = {f"{_glob(table.schema_name)}.{_glob(table.name)}": table.mode for table in source.tables}
        return FingerprintPolicy(
            mode=self.manifest.fingerprint_mode, content_up_to_bytes=2**62, tables=modes, connections=self.policy.jobs
        )

    def _fetch(self, role: str, path: Path) -> None:
        file = self.manifest.file(role)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as spool:
            self._pour(file.key, spool, file.sha256, file.size_bytes)

    def _pour(self, key: str, spool: IO[bytes], sha256: str, size_bytes: int) -> None:
        with fetching(
            self.store,
            key,
            identity=self.identity,
            encrypted=bool(self.manifest.recipients),
            sha256=sha256,
            size_bytes=size_bytes,
        ) as source:
            try:
                while chunk := source.read(1024 * 1024):
                    spool.write(chunk)
            except OSError as error:
                raise RefusedError(
                    f"the spool of {key} cannot be written ({error.strerror}); free disk or set restore_test.folder"
                ) from None

    def _read(self, role: str) -> str:
        file = self.manifest.file(role)
        with fetching(
            self.store,
            file.key,
            identity=self.identity,
            encrypted=bool(self.manifest.recipients),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
        ) as source:
            parts = []
            while chunk := source.read(1024 * 1024):
                parts.append(chunk)
        return b"".join(parts).decode()

    def _program(self, name: str, *arguments: str) -> Program:
        path = self.binaries / name
        if not path.is_file():
            raise ToolFailedError(f"{name} is missing in {self.binaries}; install the full server package")
        return Program(arguments=(str(path), *arguments), deadline_seconds=self.policy.deadline_seconds)


def _available(connection: Connection[tuple[object, ...]], extension: str) -> str:
    """Empty when the extension can be installed, else why not."""
    found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", (extension,)).fetchone()
    return "" if found else f"the sandbox's PostgreSQL has no extension {extension}; install its contrib package"


def _contain(roles: Path) -> None:
    """Rewrite the globals for a sandbox: no tablespaces at live paths, no grantor but its own superuser."""
    kept = [_GRANTED_BY.sub(b";", line) for line in roles.read_bytes().splitlines() if not _TABLESPACE.match(line)]
    roles.write_bytes(b"\n".join(kept) + b"\n")


def _entries(listing: str) -> list[str]:
    """The entries of a pg_restore listing without its comment lines, which hold times and versions."""
    return [line for line in listing.splitlines() if line and not line.startswith(";")]


def _glob(name: str) -> str:
    """A name as a pattern that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", name)
