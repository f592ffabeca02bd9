"""Proving a logical backup: restore it into a sandbox and compare what came back with what the source held."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.base.backup import FingerprintMode, FingerprintPolicy, RestoreTestPolicy
from tasks.base.errors import CorruptError, RefusedError
from tasks.base.programs import run
from tasks.base.secrets import resolve
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.fingerprint.definitions import has_passwords
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.restore.archive import PSQL, listing_of, make_database, restore_archive
from tasks.postgres.restore.asking import ask, check_structures, command_path
from tasks.postgres.restore.ladder import Broken, Ladder, Progress
from tasks.postgres.restore.positions import add_positions
from tasks.postgres.restore.sandbox import Sandbox, sandbox, sandbox_binaries
from tasks.repository.manifest import Manifest, StoredFile
from tasks.repository.records import Proven
from tasks.repository.store import Store
from tasks.repository.streams import CHUNK_BYTES, Readable, fetching

_TABLESPACE = re.compile(rb"^(CREATE|ALTER|COMMENT ON|(GRANT|REVOKE) .* ON) TABLESPACE ")
_GRANTED_BY = re.compile(rb" GRANTED BY (\"(?:[^\"]|\"\")*\"|[^ ;]+);")


@dataclass(frozen=True)
class Proof:
    """What a restore test found."""

    rungs: tuple[CheckResult, ...]
    verdict: Verdict
    proven: Proven
    rto_seconds: float | None


def prove(store: Store, manifest: Manifest, policy: RestoreTestPolicy, on_progress: Progress) -> Proof:
    """Climb the ladder for one backup; a bad backup raises nothing, the rung that failed says why.

    RTO is measured from the start until the restored copy was compared. Raises, before any work, what says nothing
    of the backup: RefusedError (disk, budget), MissingError (a program), ConfigurationError (identity, folder); and
    at any time UnreachableError (the store) and StoppedError.
    """
    ladder, rto = Ladder(manifest.backup_id, on_progress, policy.deadline_seconds), None
    identity = _identity(manifest, policy)
    binaries = sandbox_binaries(manifest.client_major, policy.binaries)
    command = command_path(policy)
    # The spool is the raw archive; the restored copy is at most the database itself, with its indexes built anew.
    needed = manifest.file("archive").raw_bytes + manifest.database_bytes
    with suppress(Broken), sandbox(policy, needed) as box:
        box.start(binaries)
        climb = _Climb(store, manifest, policy, identity, box, ladder)
        climb.fetch()
        climb.restore()
        climb.compare()
        rto = ladder.hold_rto(policy.rto_seconds)
        check_structures(ladder, box, [manifest.database_name], until=95)
        asked = policy.assertions + policy.database_assertions.get(manifest.database, ())
        ask(ladder, box, manifest.database_name, asked, command, until=100)
    return Proof(rungs=tuple(ladder.rungs), verdict=ladder.verdict, proven=ladder.proven, rto_seconds=rto)


def _identity(manifest: Manifest, policy: RestoreTestPolicy) -> str | None:
    if not manifest.recipients:
        return None
    if policy.identity is None:
        raise RefusedError("the backup is encrypted and no age identity is configured; set restore_test.identity")
    return resolve(policy.identity)


@dataclass(frozen=True)
class _Climb:
    store: Store
    manifest: Manifest
    policy: RestoreTestPolicy
    identity: str | None
    box: Sandbox
    ladder: Ladder

    @property
    def archive(self) -> Path:
        return self.box.folder / "archive.dump"

    @property
    def roles(self) -> Path:
        return self.box.folder / "globals.sql"

    def fetch(self) -> None:
        """Hash and decrypt to the spool, then list."""
        with self.ladder.rung("hash and decrypt", until=20) as rung:
            raw_bytes = max(1, self.manifest.file("archive").raw_bytes)
            with self.box.spool(self.archive) as spool, self._reading("archive") as source:
                while chunk := source.read(CHUNK_BYTES):
                    spool.write(chunk)
                    rung.done(spool.tell() / raw_bytes)
            with self.box.spool(self.roles) as spool:
                spool.write(self._read("globals"))
        with self.ladder.rung("table of contents") as rung:
            add_positions(self.archive)
            listed = listing_of(self.box, str(self.archive))
            if _entries(listed) != _entries(self._read("toc").decode()):
                raise CorruptError("the archive lists other entries than were recorded at backup time")
            rung.message = f"{len(_entries(listed))} entries"

    def restore(self) -> None:
        """The sandbox waited for, globals, the database, then its contents in parallel."""
        with self.ladder.rung("sandbox start"):
            dsn = self.box.server.dsn("template1")
        with self.ladder.rung("globals"):
            _contain(self.roles)
            run(self.box.program("psql", *PSQL, f"--file={self.roles}", dsn))
        name = make_database(self.ladder, self.box, str(self.archive))
        restore_archive(self.ladder, self.box, str(self.archive), name, self.manifest.database_bytes)
        self.archive.unlink()

    def compare(self) -> None:
        """Compare the fingerprint of the copy with the one taken inside the dump's snapshot."""
        with self.ladder.rung("fingerprint", until=88) as rung:
            source = Fingerprint.model_validate_json(self._read("fingerprint"))
            restored = collect(
                self.box.database(self.manifest.database_name),
                None,
                self._same_modes(source),
                "nightshift:restore-test",
                role_passwords=has_passwords(source.objects),
            )
            rung.findings = compare(source, restored)
            rung.message = f"{len(source.tables)} tables and what is compared beside them came back as they were"
            if self.manifest.fingerprint_mode is FingerprintMode.OFF:
                rung.skip("the backup was made without a fingerprint; set backup.fingerprint.mode")

    def _same_modes(self, source: Fingerprint) -> FingerprintPolicy:
        """Hash exactly what the source's fingerprint hashed."""
        tables = (*source.tables, *((source.large_objects,) if source.large_objects else ()))
        modes = {
            f"{_glob(table.schema_name)}.{_glob(table.name)}": table.mode
            for table in tables
            if table.mode is not self.manifest.fingerprint_mode
        }
        return FingerprintPolicy(
            mode=self.manifest.fingerprint_mode, content_up_to_bytes=2**62, tables=modes, connections=self.policy.jobs
        )

    @contextmanager
    def _reading(self, role: str) -> Iterator[Readable]:
        file: StoredFile = self.manifest.file(role)
        with fetching(
            self.store,
            file.key,
            identity=self.identity,
            encrypted=bool(self.manifest.recipients),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
        ) as source:
            yield source

    def _read(self, role: str) -> bytes:
        parts = []
        with self._reading(role) as source:
            while chunk := source.read(CHUNK_BYTES):
                parts.append(chunk)
        return b"".join(parts)


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
