"""Making the copy: under a temporary name until it is compared; one that is not equal is named for what it is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

from psycopg import Connection

from tasks.base import stopping
from tasks.base.backup import FingerprintMode
from tasks.base.errors import CorruptError, RefusedError, ToolFailedError
from tasks.base.programs import Program, output_of
from tasks.base.run import run_context
from tasks.base.system import System
from tasks.base.words import Verdict
from tasks.postgres.clients import find_clients
from tasks.postgres.connection import client_programs, connect, conninfo_for_programs
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.definitions import has_passwords
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.names import quoted
from tasks.postgres.restore.archive import CONTENTS, LISTING_BYTES, database_entries, run_restore, without_tablespace
from tasks.postgres.restore.differences import differences
from tasks.postgres.restore.ladder import NOT_COMPARED, Ladder
from tasks.postgres.restore.positions import add_positions
from tasks.postgres.restore.readiness import Known
from tasks.postgres.restore.spool import spool_file, watching_size
from tasks.postgres.restore.statements import Statement, of_the_database
from tasks.postgres.restore.stored import entries
from tasks.postgres.restore.target import KEPT, UNFINISHED, InUseError, TargetServer

_LOG = logging.getLogger("nightshift.restore")


@dataclass(frozen=True)
class Copy:
    """A copy in the making: the server, the backup, a folder for the spool, and the ladder that is climbed."""

    server: TargetServer
    known: Known
    system: System
    folder: Path
    ladder: Ladder
    run_id: str

    @property
    def _archive(self) -> Path:
        return self.folder / "archive.dump"

    @property
    def _binaries(self) -> Path:
        return find_clients(self.known.backup.manifest.client_major * 10000, self.system.backup.binaries).folder

    def make(self, into: str, *, create_roles: bool) -> None:
        """All steps. Raises Broken after the step that failed, StoppedError, UnreachableError; nothing is left then.

        A copy that differs stays, under its temporary name.
        """
        manifest = self.known.backup.manifest
        with run_context(self.run_id, f"{manifest.system}/{manifest.database}/restore"):
            with self.ladder.rung("lock") as rung:
                lock = self.server.lock(into)
                for name in self.server.leftovers():
                    self.server.drop(name)
                    rung.inform(f"{name} of a killed run was dropped")
            statements = self._fetch()
            if create_roles:
                self._roles()
            with self._temporary():
                self._database(statements, into)
                self._contents()
                self._settings(statements)
                self._statistics()
                self._compare(into)
                with self.ladder.rung("name", until=100):
                    lock.check()
                    self._rename(into, statements)

    def _program(self, name: str, *arguments: str) -> Program:
        """A client program, at the temporary database; no password in its arguments."""
        _, environment = conninfo_for_programs(self.server.database)
        return Program(
            arguments=(str(self._binaries / name), *arguments),
            environment={**environment, "PGAPPNAME": f"nightshift:pg_restore:{self.run_id}"},
            deadline_seconds=self.system.restore_test.deadline_seconds,
        )

    def _fetch(self) -> list[Statement]:
        """Hash and decrypt to the spool, then list: nothing is made at the server before.

        Returns what makes the database and says what is set in it.
        """
        with self.ladder.rung("hash and decrypt", until=25) as rung, spool_file(self._archive) as spool:
            self.known.backup.fetch("archive", spool, rung.done)
        with self.ladder.rung("table of contents") as rung:
            add_positions(self._archive)
            listed = entries(output_of(self._program("pg_restore", "--list", str(self._archive)), LISTING_BYTES))
            if listed != list(self.known.contents):
                raise CorruptError("the archive lists other entries than were recorded at backup time")
            rung.message = f"{len(listed)} entries"
            return self._statements()

    def _roles(self) -> None:
        """Make the roles that are not there; they stay, whatever becomes of the copy."""
        with self.ladder.rung("roles") as rung:
            held = self.known.globals
            missing = self.server.missing(sorted(held.roles))
            loud = self.server.make_roles(held.making(missing))
            rung.message = f"made: {', '.join(missing) or 'none, all are there'}"
            if loud and missing:
                rung.inform(f"{rung.message}; the server's log may hold their verifiers, for {loud[0]} stays as it is")

    def _statements(self) -> list[Statement]:
        """What makes the database and says what is set in it, as the archive holds it."""
        listing = output_of(self._program("pg_restore", "--list", "--create", str(self._archive)), LISTING_BYTES)
        chosen = self.folder / "database.list"
        chosen.write_text(database_entries(listing), "utf-8")
        options = ("--create", f"--use-list={chosen}", "--no-tablespaces", "--file=-")
        return of_the_database(output_of(self._program("pg_restore", *options, str(self._archive))))

    @contextmanager
    def _temporary(self) -> Iterator[None]:
        """Whatever ends the block but a mark to keep it, the temporary database is gone."""
        try:
            yield
        except BaseException:
            if not any(one.name == "kept" for one in self.ladder.rungs):
                self.server.clean_up()
            raise

    def _database(self, statements: list[Statement], into: str) -> None:
        """Make it as the source was; another locale or encoding would be another database."""
        with self.ladder.rung("database", until=27):
            name, backup_id = self.server.temporary, self.known.backup.manifest.backup_id
            made = next((one for one in statements if one.starts("CREATE", "DATABASE")), None)
            if made is None:
                raise CorruptError("the archive does not say how its database is made; take another backup")
            try:
                self.server.execute([without_tablespace(made.of_database(name))])
            except ToolFailedError as error:
                raise RefusedError(
                    f"{error}; a database with the source's encoding and locale cannot be made there, and one with "
                    "another would sort otherwise: install that locale there, or name another server"
                ) from None
            self.server.mark(f"{UNFINISHED} of {backup_id}, by the run {self.run_id}, to become {quoted(into)}")
            # What lies in it may only be given to who may make things there: owner and rights come before.
            self.server.execute([one.of_database(name) for one in statements if _says_who(one)])

    def _contents(self) -> None:
        """Restore everything in parallel; the first error ends it."""
        manifest, server = self.known.backup.manifest, self.server
        dsn, _ = conninfo_for_programs(server.at(server.temporary))
        options = (*CONTENTS, f"--jobs={self.system.restore_test.jobs}", "--no-password", f"--dbname={dsn}")
        with (
            self.ladder.rung("restore", until=75) as rung,
            watching_size(
                self._opened, server.temporary, lambda size: rung.done(size / max(1, manifest.database_bytes))
            ),
            client_programs(server.database, self._binaries, ()),
        ):
            run_restore(self._program("pg_restore", *options, str(self._archive)))
        self._archive.unlink()

    def _opened(self) -> Connection[tuple[object, ...]]:
        name = f"nightshift:watch:{self.run_id}"
        connection = connect(self.server.at(self.server.temporary), application_name=name)
        connection.autocommit = True
        return connection

    def _settings(self, statements: list[Statement]) -> None:
        """What is set in the database, which might be in the way of its contents; its comment comes with its name."""
        with self.ladder.rung("settings", until=77):
            others = [one for one in statements if one.words[0] not in ("CREATE", "COMMENT") and not _says_who(one)]
            self.server.execute([one.of_database(self.server.temporary) for one in others])

    def _statistics(self) -> None:
        """A restored database has none, and plans without them are bad."""
        with (
            self.ladder.rung("statistics", until=82),
            self._opened() as session,
            stopping.on_stop(session.cancel),
        ):
            session.execute("SET statement_timeout = 0")
            session.execute("ANALYZE")

    def _compare(self, into: str) -> None:
        """Compare with what the source held inside the dump's snapshot; a copy that differs is kept to be looked at."""
        manifest, server = self.known.backup.manifest, self.server
        with self.ladder.rung("fingerprint", until=98) as rung:
            source = cast(Fingerprint, self.known.fingerprint)
            passwords = has_passwords(source.objects) and server.facts.is_superuser
            restored = collect(
                server.at(server.temporary),
                None,
                self.known.backup.same_modes(source, self.system.restore_test.jobs),
                f"nightshift:fingerprint:{self.run_id}",
                role_passwords=passwords,
            )
            found = differences(source, restored, server.temporary, manifest.database_name, passwords=passwords)
            if Verdict.worst([Verdict.OK, *(one.verdict for one in found)]).is_red:
                self._keep("it differs from the backup", f"ALTER DATABASE {server.temporary} RENAME TO {quoted(into)}")
            rung.findings = found
            rung.message = f"{len(source.tables)} tables and what is compared beside them came back as they were"
            if manifest.fingerprint_mode is FingerprintMode.OFF:
                rung.skip(NOT_COMPARED)

    def _keep(self, why: str, rename: str) -> None:
        """Leave the copy under its temporary name, where no later run removes it."""
        name = self.server.temporary
        self.server.mark(f"{KEPT} of {self.known.backup.manifest.backup_id}, by the run {self.run_id}: {why}")
        self.ladder.record(
            "kept", Verdict.WARN, f"the copy stays as {name}, for {why}; then {rename}, or DROP DATABASE {name}", 0.0
        )

    def _rename(self, into: str, statements: list[Statement]) -> None:
        """The last step: the copy's own comment and its name, both or none."""
        try:
            self.server.rename(into, self._comment(statements))
        except InUseError as error:
            name = self.server.temporary
            self._keep("it is equal, and was in use", f"ALTER DATABASE {name} RENAME TO {quoted(into)}")
            raise RefusedError(f"the copy is equal, but {error}; rename it when it is free") from None
        _LOG.info("%s is there", into)

    def _comment(self, statements: list[Statement]) -> str | None:
        """The database's comment. Raises CorruptError when it is not the one that the fingerprint holds."""
        manifest, source = self.known.backup.manifest, cast(Fingerprint, self.known.fingerprint)
        said = [one.words[-1] for one in statements if one.starts("COMMENT")]
        comment = said[0][1:-1].replace("''", "'") if said else None
        digest = source.objects.get(f"comment on database {manifest.database_name}")
        if digest != (sha256(comment.encode()).hexdigest() if comment is not None else None):
            raise CorruptError("the database's comment is not the one that was there at the time of the backup")
        return comment


def _says_who(one: Statement) -> bool:
    """Whether it is about the database's owner, or who may what in it."""
    return one.words[0] in ("GRANT", "REVOKE") or (one.starts("ALTER", "DATABASE") and one.words[3] == "OWNER")
