"""The server as one rotation sees it: one role, changed by a role that may, and its logins."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from tasks.base.credentials import Credential
from tasks.base.errors import (
    ConfigurationError,
    IncompleteError,
    MissingError,
    NightshiftError,
    RefusedError,
    UnreachableError,
)
from tasks.base.secrets import remember
from tasks.base.system import Database
from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.connection import connect, lost
from tasks.postgres.rotation.quiet import loud_in, make_quiet

_WRONG = "password authentication failed"
# From this libpq on a client refuses a server that does not ask for what it is told to ask for.
_REQUIRE_AUTH_VERSION = 160000
_PARAMETER_GRANTS_VERSION = 150000


class RoleSession(Frozen):
    """A session of the role, as the server shows it."""

    pid: int
    database: str
    application_name: str
    client: str
    began_at: datetime
    state: str


class RoleServer:
    """One role of one server.

    The session that changes it stays open until `close`: whoever rotates the very role that Nightshift connects as
    could open none with the old password to take the new one back. A lost one is opened again.
    """

    def __init__(self, database: Database, credential: Credential, run_id: str) -> None:
        assert credential.role is not None
        self.database, self.role = database, credential.role
        self._admin = database.model_copy(
            update={
                "dsn": credential.admin_dsn or database.lock_dsn or database.dsn,
                "password": credential.admin_password if credential.admin_dsn else database.password,
            }
        )
        # A standby knows a new password only when it has replayed it.
        self._login_dsn = credential.login_dsn or database.lock_dsn or database.dsn
        self._application = f"nightshift:rotation:{run_id}"
        self._session: Connection[Any] | None = None
        self._loud: list[str] = []

    def close(self) -> None:
        """End its session."""
        if self._session is not None:
            self._session.close()

    def loud_settings(self) -> list[str]:
        """What would write the verifier into the log or show it, and cannot be set by this role."""
        with self._admin_session():
            return list(self._loud)

    def grant_for(self, settings: list[str]) -> str:
        """What lets the changing role hold them back, in words."""
        with self._admin_session() as session:
            facts = self._facts(session)
        if facts.version < _PARAMETER_GRANTS_VERSION:
            return f"{facts.admin} would have to be a superuser (PostgreSQL 15 and newer can grant single settings)"
        return f"as a superuser: GRANT SET ON PARAMETER {', '.join(settings)} TO {facts.admin}"

    def check_role(self) -> None:
        """Raises MissingError (no such role), RefusedError (it may not log in, has expired, or this is a standby)."""
        with self._admin_session() as session:
            facts = self._facts(session)
        if facts.is_standby:
            raise RefusedError(
                f"'{self.database.name}' is a standby, where no password can be set; name the primary in admin_dsn"
            )
        if not facts.may_log_in:
            raise RefusedError(
                f"role {facts.role} may not log in, so that no password of it can be proven; ALTER ROLE {facts.role} "
                "LOGIN, or take it out of the credentials"
            )
        if facts.has_expired:
            raise RefusedError(
                f"role {facts.role} has expired (VALID UNTIL), so that no password of it can be proven; "
                f"ALTER ROLE {facts.role} VALID UNTIL …"
            )

    def verifier(self) -> str | None:
        """What the server keeps of the password now; None for a role without. Raises RefusedError with the GRANT."""
        with self._admin_session() as session:
            try:
                row = session.execute(queries.load("rotation/verifier"), {"role": self.role}).fetchone()
            except psycopg.errors.InsufficientPrivilege:
                admin = self._facts(session).admin
                raise RefusedError(
                    f"{admin} may not read pg_authid, so that a rotation could not be taken back; as a superuser: "
                    f"GRANT pg_read_all_data TO {admin}"
                ) from None
        return remember(str(row[0])) if row and row[0] is not None else None

    def verifier_of(self, password: str) -> str:
        """The SCRAM-SHA-256 verifier of a password, made here: the password itself never reaches the server."""
        with self._admin_session() as session:
            made = session.pgconn.encrypt_password(password.encode(), self.role.encode(), b"scram-sha-256")
        return remember(made.decode())

    def set_verifier(self, verifier: str | None) -> None:
        """Set it; None takes the password away. In a transaction, so that a client that is killed sets nothing."""
        self._alter(verifier, keep=True)

    def rehearse(self, verifier: str | None) -> None:
        """Set what is set already, and roll back: it shows whether the rotation could set and take back."""
        self._alter(verifier, keep=False)

    def accepts(self, password: str) -> bool:
        """Try a login. Raises what else kept it out: the server does not answer, demands something else, is full."""
        demand = {"require_auth": "scram-sha-256"} if psycopg.pq.version() >= _REQUIRE_AUTH_VERSION else {}
        return self._logs_in(password, demand)

    def check_password_matters(self) -> None:
        """Raises IncompleteError when the server lets the role in with a wrong password: a login proves nothing then.

        It leaves one failed login in the server's log.
        """
        if self._logs_in(remember(secrets.token_urlsafe(24)), {}):
            raise IncompleteError(
                f"'{self.database.name}' let {self.role} in with a wrong password (trust, peer or a certificate in "
                "pg_hba.conf), so that a login proves nothing: nothing was changed; demand scram-sha-256 there, or "
                "name another way in by login_dsn"
            )

    def sessions(self) -> list[RoleSession]:
        """The sessions that the role has now."""
        bound = {**self._who, "own": self._application}
        with self._admin_session() as session:
            rows = cast(list[tuple[Any, ...]], session.execute(queries.load("rotation/sessions"), bound).fetchall())
        return [RoleSession.model_validate(dict(zip(RoleSession.model_fields, row, strict=True))) for row in rows]

    @property
    def _who(self) -> dict[str, str]:
        return {"role": self.role}

    def _logs_in(self, password: str, demand: dict[str, str]) -> bool:
        dsn = make_conninfo(self._login_dsn, user=self.role, password=password, **demand)
        try:
            connect(
                self.database.model_copy(update={"password": None}), application_name=self._application, dsn=dsn
            ).close()
        except RefusedError as error:
            if _WRONG in str(error):
                return False
            raise
        return True

    def _alter(self, verifier: str | None, *, keep: bool) -> None:
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.role), sql.Literal(verifier))
        with self._admin_session() as session:
            try:
                with session.transaction(force_rollback=not keep):
                    self._check_quiet(session)
                    session.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                raise RefusedError(self._missing_right(self._facts(session))) from None

    def _check_quiet(self, session: Connection[Any]) -> None:
        """Raises RefusedError when a pooler gave this transaction another session than the one that was made quiet."""
        if not set(loud_in(session)) <= set(self._loud):
            raise RefusedError(
                f"the connection that changes {self.role} does not keep its settings, as behind a pooler, and the new "
                "verifier would be logged: nothing was changed; name a direct connection in admin_dsn"
            )

    def _missing_right(self, facts: "_Facts") -> str:
        grant = f"ALTER ROLE {facts.admin} CREATEROLE"
        if facts.version >= 160000:
            grant += f"; GRANT {facts.role} TO {facts.admin} WITH ADMIN OPTION"
        return (
            f"{facts.admin} may not change the password of {facts.role}; as a superuser: {grant} "
            f"(when {facts.role} is a superuser, only one may)"
        )

    def _facts(self, session: Connection[Any]) -> "_Facts":
        row = session.execute(queries.load("rotation/role"), self._who).fetchone()
        if row is None:
            raise MissingError(f"'{self.database.name}' has no role {self.role}; correct the system file")
        return _Facts.model_validate(dict(zip(_Facts.model_fields, row, strict=True)))

    @contextmanager
    def _admin_session(self) -> Iterator[Connection[Any]]:
        """An autocommit session that is quiet before anything is done in it. Database errors become ours."""
        try:
            if self._session is None or not _is_alive(self._session):
                self._session = connect(self._admin, application_name=self._application)
                self._session.autocommit = True
                self._session.execute("SET lock_timeout = '10s'; SET statement_timeout = '30s'")
                self._loud = make_quiet(self._session)
            yield self._session
        except psycopg.Error as error:
            raise self._translated(error) from None

    def _translated(self, error: psycopg.Error) -> NightshiftError:
        # Not the whole of the error: it may quote the statement.
        said = error.diag.message_primary or type(error).__name__
        if lost(error):
            return UnreachableError(f"the session with '{self.database.name}' was lost; look whether the server runs")
        if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
            return ConfigurationError(f"the connection of '{self.database.name}' is not valid: {said}")
        return RefusedError(f"'{self.database.name}' did not do it: {said}; look at the server's log")


def _is_alive(session: Connection[Any]) -> bool:
    """False when the server ended it meanwhile, such as an idle one while a place was written."""
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


class _Facts(Frozen):
    """What the server says of the role, and of who asks; names are quoted where they need it."""

    may_log_in: bool
    has_expired: bool
    is_standby: bool
    admin: str
    role: str
    version: int
