"""Proving a logical backup: restore it into a sandbox and compare what came back with what the source held."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.base.backup import FingerprintMode, RestoreTestPolicy
from tasks.base.errors import CorruptError
from tasks.base.programs import run
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.fingerprint.definitions import has_passwords
from tasks.postgres.restore.archive import PSQL, listing_of, make_database, restore_archive
from tasks.postgres.restore.asking import ask, check_structures, command_path
from tasks.postgres.restore.globals import GRANTED_BY
from tasks.postgres.restore.ladder import NOT_COMPARED, Broken, Ladder, Progress
from tasks.postgres.restore.positions import add_positions
from tasks.postgres.restore.sandbox import Sandbox, sandbox, sandbox_binaries
from tasks.postgres.restore.spool import spool_file
from tasks.postgres.restore.stored import StoredBackup, entries, identity_for
from tasks.repository.manifest import Manifest
from tasks.repository.records import Proven
from tasks.repository.store import Store

_TABLESPACE = re.compile(rb"^(CREATE|ALTER|COMMENT ON|(GRANT|REVOKE) .* ON) TABLESPACE ")


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
    backup = StoredBackup(store, manifest, identity_for(manifest, policy))
    binaries = sandbox_binaries(manifest.client_major, policy.binaries)
    command = command_path(policy)
    # The spool is the raw archive; the restored copy is at most the database itself, with its indexes built anew.
    needed = manifest.file("archive").raw_bytes + manifest.database_bytes
    with suppress(Broken), sandbox(policy, needed) as box:
        box.start(binaries)
        climb = _Climb(backup, policy, box, ladder)
        climb.fetch()
        climb.restore()
        climb.compare()
        rto = ladder.hold_rto(policy.rto_seconds)
        check_structures(ladder, box, [manifest.database_name], until=95)
        asked = policy.assertions + policy.database_assertions.get(manifest.database, ())
        ask(ladder, box, manifest.database_name, asked, command, until=100)
    return Proof(rungs=tuple(ladder.rungs), verdict=ladder.verdict, proven=ladder.proven, rto_seconds=rto)


@dataclass(frozen=True)
class _Climb:
    backup: StoredBackup
    policy: RestoreTestPolicy
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
            with spool_file(self.archive) as spool:
                self.backup.fetch("archive", spool, rung.done)
            with spool_file(self.roles) as spool:
                spool.write(self.backup.read("globals"))
        with self.ladder.rung("table of contents") as rung:
            add_positions(self.archive)
            listed = listing_of(self.box, str(self.archive))
            if entries(listed) != entries(self.backup.read("toc").decode()):
                raise CorruptError("the archive lists other entries than were recorded at backup time")
            rung.message = f"{len(entries(listed))} entries"

    def restore(self) -> None:
        """The sandbox waited for, globals, the database, then its contents in parallel."""
        with self.ladder.rung("sandbox start"):
            dsn = self.box.server.dsn("template1")
        with self.ladder.rung("globals"):
            _contain(self.roles)
            run(self.box.program("psql", *PSQL, f"--file={self.roles}", dsn))
        name = make_database(self.ladder, self.box, str(self.archive))
        restore_archive(self.ladder, self.box, str(self.archive), name, self.backup.manifest.database_bytes)
        self.archive.unlink()

    def compare(self) -> None:
        """Compare the fingerprint of the copy with the one taken inside the dump's snapshot."""
        manifest = self.backup.manifest
        with self.ladder.rung("fingerprint", until=88) as rung:
            source = self.backup.fingerprint()
            restored = collect(
                self.box.database(manifest.database_name),
                None,
                self.backup.same_modes(source, self.policy.jobs),
                "nightshift:restore-test",
                role_passwords=has_passwords(source.objects),
            )
            rung.findings = compare(source, restored)
            rung.message = f"{len(source.tables)} tables and what is compared beside them came back as they were"
            if manifest.fingerprint_mode is FingerprintMode.OFF:
                rung.skip(NOT_COMPARED)


def _contain(roles: Path) -> None:
    """Rewrite the globals for a sandbox: no tablespaces at live paths, no grantor but its own superuser."""
    kept = [GRANTED_BY.sub(b";", line) for line in roles.read_bytes().splitlines() if not _TABLESPACE.match(line)]
    roles.write_bytes(b"\n".join(kept) + b"\n")
