"""The one place that opens connections."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tasks.base.errors import ConfigurationError, NightshiftError, RefusedError, ToolFailedError, UnreachableError
from tasks.base.secrets import resolve
from tasks.base.system import Database

_CONNECT_TIMEOUT_SECONDS = 10
# What the server says, and what to do about it; everything else counts as unreachable.
_REFUSALS = (
    (
        r"password authentication failed|no password supplied",
        "check the password where libpq or the system file has it",
    ),
    (r"no pg_hba.conf entry", "allow this host and user in pg_hba.conf, or set sslmode=require when it asks for TLS"),
    (r"role \".*\" does not exist", "create the role, see docs/least_privilege.md"),
    (r"database \".*\" does not exist", "correct dbname in the dsn"),
    (r"permission denied for database", "GRANT CONNECT on the database to the role"),
    (r"is not permitted to log in", "ALTER ROLE … LOGIN"),
    (
        r"could not access file",
        "take the missing library out of session_preload_libraries of the role or database, or install it",
    ),
    (r"definition of service \".*\" not found", "add the service to the file that PGSERVICEFILE names"),
    (r"server does not support SSL", "set sslmode=prefer, or turn TLS on at the server"),
    (
        r"authentication failed for user|authentication method requirement",
        "demand scram-sha-256 for this role and host in pg_hba.conf",
    ),
    (r"certificate", "set sslrootcert to the authority that signed the server's certificate"),
)
# What client programs say when they were built without TLS; this process's own libpq has it.
_WITHOUT_TLS = r"not compiled in|no pg_hba.conf entry.* no encryption"
_RIGHTS = (
    (r"row-level security", "ALTER ROLE … BYPASSRLS, see docs/least_privilege.md"),
    (
        r"permission denied for table pg_authid",
        "set backup.role_passwords: false, or GRANT pg_read_all_data, see docs/least_privilege.md",
    ),
    (r"permission denied", "'nightshift check' names the GRANT, see docs/least_privilege.md"),
)
_CROWDED = r"too many (connections|clients)|connection slots"
_LOST = r"could not connect|Connection refused|closed the connection|terminating connection|timeout expired|starting up"


def connect(database: Database, *, application_name: str, dsn: str | None = None) -> Connection[tuple[object, ...]]:
    """A direct connection to a database, `dsn` in its place when given.

    Raises RefusedError (password, role, database, TLS), UnreachableError, ConfigurationError (no valid dsn).
    """
    secret = {"password": resolve(database.password)} if database.password else {}
    try:
        return psycopg.connect(
            make_conninfo(dsn or database.dsn, **secret),
            application_name=application_name,
            client_encoding="UTF8",
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            keepalives=1,
            keepalives_idle=60,
            keepalives_interval=10,
            keepalives_count=6,
        )
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"the dsn of '{database.name}' is not valid: {_sentence(error)}") from None
    except psycopg.OperationalError as error:
        _refused(database, error)


def lost(error: psycopg.Error) -> bool:
    """True when the session is gone; a full disk or a deadlock is an OperationalError too, and leaves it alive."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def conninfo_for_programs(database: Database) -> tuple[str, dict[str, str]]:
    """The connection string for client programs, and the environment that holds what no process list may show."""
    parts = conninfo_to_dict(database.dsn)
    parts.setdefault("connect_timeout", str(_CONNECT_TIMEOUT_SECONDS))
    environment = {"PGPASSWORD": resolve(database.password)} if database.password else {}
    return make_conninfo("", **{key: str(value) for key, value in parts.items()}), environment


@contextmanager
def client_programs(
    database: Database, folder: Path, remedies: Sequence[tuple[str, str]] = (*_RIGHTS, *_REFUSALS)
) -> Iterator[None]:
    """Run client programs of that folder against the database inside the block; what they say becomes one sentence.

    `remedies` are patterns of refusals, each with what to do about it; with none the caller knows better.

    Raises RefusedError (TLS, password, rights), UnreachableError (a lost connection, which may heal), else
    ToolFailedError as it came.
    """
    try:
        yield
    except ToolFailedError as error:
        raise _of_program(database, folder, error, remedies) from None


def _of_program(
    database: Database, folder: Path, error: ToolFailedError, remedies: Sequence[tuple[str, str]]
) -> NightshiftError:
    text = _what_matters(str(error))
    if re.search(_WITHOUT_TLS, text):
        return RefusedError(
            f"'{database.name}' wants TLS and the client programs in {folder} have none: {text}; "
            "install postgresql-client of the server's version, or set backup.binaries to programs with TLS"
        )
    for pattern, remedy in remedies:
        if re.search(pattern, text):
            return RefusedError(f"'{database.name}': {text}; {remedy}")
    if re.search(_LOST, text):
        return UnreachableError(f"'{database.name}': {text}; look whether the server runs and is reachable from here")
    return ToolFailedError(text, retryable=error.retryable)


def _what_matters(text: str) -> str:
    """Of a program's many lines the one that says what is wrong, without the query that it ran."""
    head, _, said = text.partition(": ")
    errors = [line for line in said.split(" / ") if re.search(r"error: |ERROR: |FATAL: ", line)]
    return f"{head}: {errors[0]}" if errors else text


def _refused(database: Database, error: psycopg.OperationalError) -> NoReturn:
    text = _sentence(error)
    for pattern, remedy in _REFUSALS:
        if re.search(pattern, text):
            raise RefusedError(f"cannot connect to '{database.name}': {text}; {remedy}") from None
    remedy = "look whether the server runs and is reachable from here"
    if re.search(_CROWDED, text):
        remedy = "raise that limit, close other sessions, or lower backup.fingerprint.connections"
    raise UnreachableError(f"cannot connect to '{database.name}': {text}; {remedy}") from None


def _sentence(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
