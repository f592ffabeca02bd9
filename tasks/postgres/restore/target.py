"""The server that a backup is restored into: temporary databases that carry their run, and the last step's new name."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Event
from typing import cast
from zlib import crc32

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from tasks.base import stopping
from tasks.base.errors import NightshiftError, RefusedError, StoppedError, ToolFailedError, UnreachableError
from tasks.base.system import Database
from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.connection import connect, lost
from tasks.postgres.lock import DatabaseLock, session_name
from tasks.postgres.rotation.quiet import make_quiet

PREFIX = "nightshift_restore_"
UNFINISHED, KEPT = "unfinished restore", "kept restore"
# A server is entered by a database that is there whatever was lost; where it may not be, by the next.
_ENTRANCES = ("postgres", "template1", None)
_NO_ENTRANCE = r"database \".*\" does not exist|no pg_hba.conf entry|permission denied for database|not currently acc"
_SETTINGS = {"statement_timeout": "0", "lock_timeout": "0", "client_connection_check_interval": "5s"}
_EVENT_TRIGGERS_OFF_SINCE = 17
_RENAMES, _AGAIN_SECONDS = 10, 1.0
_LOG = logging.getLogger("nightshift.restore")


class ServerFacts(Frozen):
    """What the server is, and what the role may do there."""

    version_num: int
    version: str
    is_standby: bool
    role: str
    is_superuser: bool
    may_create_databases: bool
    may_create_roles: bool

    @property
    def major(self) -> int:
        """Its major version."""
        return self.version_num // 10000


class TargetServer:
    """The server, by the one session that is open for as long as the run is: while it is there, the run is at work."""

    def __init__(self, database: Database, session: Connection[tuple[object, ...]], run_id: str) -> None:
        self.database, self.run_id = database, run_id
        self._session = session
        row = self.rows(queries.load("restore/server"))[0]
        self.facts = ServerFacts(**dict(zip(ServerFacts.model_fields, row, strict=True)))

    @property
    def temporary(self) -> str:
        """The name of this run's database until it is proven."""
        return f"{PREFIX}{self.run_id}"

    def at(self, dbname: str) -> Database:
        """A database of this server, entered so that neither its settings nor its own triggers are in the way.

        A trigger on logins or DDL that came with the copy may refuse this run, or write down that it was there.
        """
        options = [self._session.info.options, "-c default_transaction_read_only=off"]
        if self.facts.is_superuser and self.facts.major >= _EVENT_TRIGGERS_OFF_SINCE:
            options.append("-c event_triggers=off")
        dsn = make_conninfo(self.database.dsn, dbname=dbname, options=" ".join(options).strip())
        return self.database.model_copy(update={"dsn": dsn})

    def rows(
        self, query: bytes | sql.Composed, values: Sequence[object] | Mapping[str, object] | None = None
    ) -> list[tuple[object, ...]]:
        """What a query gives. Raises as `translated` says."""
        try:
            # Only a query with values has its percent signs read.
            return self._session.execute(query, values).fetchall()
        except psycopg.Error as error:
            raise translated(self.database, error) from None

    def execute(self, statements: Sequence[sql.Composed | str], *, together: bool = False) -> None:
        """Carry statements out, cancelled on a stop; `together`: all of them or none."""
        with stopping.on_stop(self._session.cancel):
            self._execute(statements, together=together)

    def _execute(self, statements: Sequence[sql.Composed | str], *, together: bool = False) -> None:
        done = [one.encode() if isinstance(one, str) else one for one in statements]
        try:
            if not together:
                for one in done:
                    self._session.execute(one)
                return
            with self._session.transaction():
                for one in done:
                    self._session.execute(one)
        except psycopg.Error as error:
            raise translated(self.database, error) from None

    def has(self, dbname: str) -> bool:
        """Whether a database of that name is there."""
        return bool(self.rows(b"SELECT FROM pg_catalog.pg_database WHERE datname = %s", (dbname,)))

    def missing(self, roles: Sequence[str]) -> list[str]:
        """Those of the roles that are not there."""
        there = {row[0] for row in self.rows(b"SELECT rolname::text FROM pg_catalog.pg_roles")}
        return sorted(set(roles) - there)

    def may_not_become(self, roles: Sequence[str]) -> list[str]:
        """Those of the roles, all of them there, that whoever is connected cannot make the owner of a thing."""
        rights = (b"MEMBER",) if self.facts.major < 16 else (b"SET", b"USAGE")
        asked = b" AND ".join(b"pg_catalog.pg_has_role(r, '%s')" % right for right in rights)
        query = b"SELECT r FROM pg_catalog.unnest(%s::name[]) r WHERE NOT (" + asked + b")"
        return sorted(cast(str, row[0]) for row in self.rows(query, (list(roles),)))

    def may_read_all(self) -> bool:
        """Whether whoever is connected may read every table of every database."""
        return bool(self.rows(b"SELECT pg_catalog.pg_has_role('pg_read_all_data', 'USAGE')")[0][0])

    def leftovers(self) -> list[str]:
        """Temporary databases that killed runs left."""
        # The percent sign is doubled in the file, as in those that take values.
        return [cast(str, row[0]) for row in self.rows(queries.load("restore/leftovers"), ())]

    def make_roles(self, statements: Sequence[str]) -> list[str]:
        """Make roles, all of them or none, in a session that writes no verifier into a log.

        Returns the settings that this role cannot silence.
        """
        with connect(self.at(self._session.info.dbname), application_name="nightshift:roles") as session:
            try:
                session.autocommit = True
                loud = make_quiet(session)
                with stopping.on_stop(session.cancel), session.transaction():
                    for one in statements:
                        session.execute(one.encode())
            except psycopg.Error as error:
                raise translated(self.database, error) from None
        return loud

    def lock(self, into: str) -> DatabaseLock:
        """Take the lock of that name. Raises RefusedError that names who holds it."""
        # Beside the lock of the database that the server is entered by, whose number is 1.
        lock = DatabaseLock(self.database, self._session, 0x40000000 | (crc32(into.encode()) & 0x3FFFFFFF))
        if not lock.take():
            raise RefusedError(
                f"another run restores into '{into}' at this moment: {lock.holder()}; wait for its end, or cancel it"
            )
        return lock

    def mark(self, comment: str) -> None:
        """Say at the temporary database what it is, for people and for the next run."""
        self._execute([sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(self.temporary), comment)])

    def rename(self, into: str, comment: str | None) -> None:
        """Give the temporary database its name and its own comment, both or none.

        A session of somebody else in it, such as a monitor's, is waited for. Raises RefusedError when the name was
        taken meanwhile, or it is still in use.
        """
        temporary = sql.Identifier(self.temporary)
        statements = [
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(temporary, sql.Literal(comment)),
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(temporary, sql.Identifier(into)),
        ]
        for _ in range(_RENAMES):
            try:
                with stopping.on_stop(self._session.cancel), self._session.transaction():
                    for one in statements:
                        self._session.execute(one)
            except psycopg.errors.ObjectInUse:
                stopping.raise_if_stopped()
                Event().wait(_AGAIN_SECONDS)
            except psycopg.Error as error:
                stopping.raise_if_stopped()
                raise translated(self.database, error) from None
            else:
                return
        raise InUseError(f"somebody is connected to {self.temporary} and stays, so it cannot be renamed")

    def drop(self, dbname: str) -> None:
        """Drop a temporary database with whoever is in it, also while the run is being stopped."""
        self._execute([sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname))])

    def clean_up(self) -> None:
        """Drop this run's temporary database; by a new session where this one is lost. A dead server is no error."""
        try:
            self.drop(self.temporary)
        except NightshiftError:
            with suppress(NightshiftError), entered(self.database, self.run_id, read_only=False) as again:
                again.drop(self.temporary)
                return
            _LOG.warning("%s may be left at the server; the next restore there drops it", self.temporary)


class InUseError(RefusedError):
    """The copy is whole and cannot get its name yet."""


@contextmanager
def entered(database: Database, run_id: str, *, read_only: bool) -> Iterator[TargetServer]:
    """The server of a database, by a session that is open while the block runs; `read_only`: that can change nothing.

    Raises RefusedError, UnreachableError, ConfigurationError.
    """
    with _session(database, session_name("restore", run_id)) as session:
        session.autocommit = True
        try:
            session.execute(queries.load("keep_session"))
            for name, value in {**_SETTINGS, "default_transaction_read_only": "on" if read_only else "off"}.items():
                session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        except psycopg.Error as error:
            raise translated(database, error) from None
        yield TargetServer(database, session, run_id)


def _session(database: Database, name: str) -> Connection[tuple[object, ...]]:
    for dbname in _ENTRANCES:
        dsn = make_conninfo(database.dsn, dbname=dbname) if dbname else database.dsn
        try:
            return connect(database, application_name=name, dsn=dsn)
        except RefusedError as error:
            if dbname is None or not re.search(_NO_ENTRANCE, str(error)):
                raise
    raise AssertionError("the last entrance returned or raised")


def translated(database: Database, error: psycopg.Error) -> NightshiftError:
    """The server's error as one sentence, without the statement that it was about: that may hold a verifier."""
    text = " ".join((error.diag.message_primary or str(error)).split())
    if stopping.stop_requested():
        return StoppedError("the run was stopped; what it had begun was ended, start it again when ready")
    if lost(error):
        return UnreachableError(
            f"the session to the server of '{database.name}' was lost: {text}; look whether it runs, start again"
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.DuplicateDatabase):
        return RefusedError(f"the server of '{database.name}' refused: {text}")
    return ToolFailedError(f"the server of '{database.name}' said: {text}")
