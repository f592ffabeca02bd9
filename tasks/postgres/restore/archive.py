"""Restoring an archive of pg_dump: its database first, with encoding and locale as the machine can, then the rest."""

import re

import psycopg
from psycopg import Connection

from tasks.base.errors import ToolFailedError
from tasks.base.programs import Program, output_of, run
from tasks.postgres.restore.ladder import Ladder
from tasks.postgres.restore.sandbox import Sandbox

_VALUE = r"(?:'(?:[^']|'')*'|[\w.-]+)"
_LOCALE = re.compile(rf" (?:(?:ICU_|BUILTIN_)?LOCALE|LOCALE_PROVIDER|LC_\w+|ICU_RULES|COLLATION_VERSION) = {_VALUE}")
_TABLESPACE = re.compile(rf' TABLESPACE = (?:"(?:[^"]|"")*"|{_VALUE})')
_STATEMENT = re.compile(r'^CREATE DATABASE ("(?:[^"]|"")*"|[^\s;]+)(?: .*)?;$', re.MULTILINE)
_ENTRY = re.compile(r"^\d+; \d+ \d+ (?:DATABASE|DATABASE PROPERTIES|(?:ACL|COMMENT|SECURITY LABEL) - DATABASE) ")
_PROBE = "nightshift_probe"
# Since its releases of November 2026 (15.20) a server keeps an option pg_attver at columns, which only pg_dump of these
# releases leaves out.
_COLUMN_VERSIONS = (
    "; the pg_dump that made this backup is older than its server, which keeps such versions of columns: update the "
    "client programs to the server's release, see backup.binaries, and take another backup"
)
LISTING_BYTES = 256 * 1024 * 1024
PLAIN_DATABASE = "nightshift_dump"
# How the contents of an archive are restored: the first error ends it, and all lies in the default tablespace.
CONTENTS = ("--exit-on-error", "--no-tablespaces")
PSQL = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")


def possible_here(connection: Connection[tuple[object, ...]], statement: str) -> tuple[str, str]:
    """Given a CREATE DATABASE statement, return it as this server can carry it out, and why not as it was.

    The reason is empty when the statement works as it is. Raises ToolFailedError when it works in no way.
    """
    if not _STATEMENT.match(statement):
        return statement, ""
    wanted = without_tablespace(statement)
    plain = _LOCALE.sub("", wanted).rstrip(";\n")
    reason = ""
    for candidate in (wanted, f"{plain} LC_COLLATE = 'C' LC_CTYPE = 'C.UTF-8';", f"{plain};"):
        probe = _STATEMENT.sub(lambda found: found[0].replace(found[1], _PROBE, 1), candidate)
        try:
            connection.execute(probe.encode())
        except psycopg.Error as error:
            reason = reason or " ".join(str(error).split("\n")[0].split())
            continue
        connection.execute(f"DROP DATABASE {_PROBE}".encode())
        return candidate, reason
    raise ToolFailedError(f"the sandbox cannot make the database: {reason}; look at '{statement.strip()}'")


def without_tablespace(statement: str) -> str:
    """A CREATE DATABASE statement without the tablespace that the source lay in."""
    return _TABLESPACE.sub("", statement)


def database_entries(listing: str) -> str:
    """Of a listing, the entries that are the database itself: how it is made, whose it is, what is set in it."""
    return "".join(f"{line}\n" for line in listing.splitlines() if _ENTRY.match(line))


def locale_note(reason: str) -> str:
    """What it means that a database was made with another locale."""
    return (
        f"the sandbox lacks the database's locale ({reason}); the copy sorts by C, so orders and indexes of text are "
        "not those of the source: install that locale, or a PostgreSQL that has it, and set restore_test.binaries"
    )


def listing_of(box: Sandbox, archive: str, *options: str) -> str:
    """What pg_restore lists of an archive. Raises ToolFailedError."""
    return output_of(box.program("pg_restore", "--list", *options, archive), LISTING_BYTES)


def make_database(ladder: Ladder, box: Sandbox, archive: str) -> str:
    """Make the database that an archive holds, with its owner, rights and settings; return its name.

    A locale that this machine lacks is a rung that was skipped: everything else can still be compared.
    """
    with ladder.rung("database") as rung:
        entries = box.folder / "database.list"
        entries.write_text(database_entries(listing_of(box, archive, "--create")), "utf-8")
        script = output_of(
            box.program("pg_restore", "--create", f"--use-list={entries}", "--no-tablespaces", "--file=-", archive)
        )
        found = _STATEMENT.search(script)
        if found is None:
            make_plain_database(box)
            return PLAIN_DATABASE
        with box.connect("template1") as connection:
            possible, reason = possible_here(connection, found[0])
            # The fresh sandbox has a database 'postgres'; a restored one of that name takes its place.
            connection.execute(f"DROP DATABASE IF EXISTS {found[1]}".encode())
        prepared = box.folder / "database.sql"
        prepared.write_text(script.replace(found[0], possible, 1), "utf-8")
        run(box.program("psql", *PSQL, f"--file={prepared}", box.server.dsn("template1")))
        if reason:
            rung.skip(locale_note(reason))
    return found[1][1:-1].replace('""', '"') if found[1].startswith('"') else found[1]


def make_plain_database(box: Sandbox) -> None:
    """Make the database for a dump that does not say which one it was."""
    statement = f"CREATE DATABASE {PLAIN_DATABASE} TEMPLATE = template0 LC_COLLATE = 'C' LC_CTYPE = 'C.UTF-8';"
    with box.connect("template1") as connection:
        connection.execute(possible_here(connection, statement)[0].encode())


def restore_archive(
    ladder: Ladder, box: Sandbox, archive: str, dbname: str, expected_bytes: int, *, parallel: bool = True
) -> None:
    """Restore the contents of an archive into its database; the first error ends it, and names its entry."""
    jobs = (f"--jobs={box.policy.jobs}",) if parallel else ()
    options = (*CONTENTS, *jobs)
    with (
        ladder.rung("restore", until=75) as rung,
        box.growing(dbname, lambda size_bytes: rung.done(size_bytes / max(1, expected_bytes))),
    ):
        run_restore(box.program("pg_restore", *options, f"--dbname={box.server.dsn(dbname)}", archive))


def run_restore(program: Program) -> None:
    """Run pg_restore. Raises ToolFailedError, with what to do where the backup's own pg_dump is the reason."""
    try:
        run(program)
    except ToolFailedError as error:
        if '"pg_attver"' not in str(error):
            raise
        raise ToolFailedError(f"{error}{_COLUMN_VERSIONS}") from None
