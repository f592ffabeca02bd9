"""Plain SQL dumps made to run in a fresh sandbox: what they take for granted on their server is made beforehand."""

import re
from collections.abc import Iterable, Iterator

from psycopg import Connection, sql

from tasks.base.errors import CorruptError
from tasks.postgres.restore.archive import possible_here

_NAME = rb'"(?:[^"]|"")+"|[\w$]+'
_NAMES = re.compile(_NAME)
# Where the statements of pg_dump and pg_dumpall name roles.
_ROLES = tuple(
    re.compile(pattern.replace(b"NAME", rb"((?:" + _NAME + rb")(?:, (?:" + _NAME + rb"))*)"))
    for pattern in (
        rb"^ALTER .* OWNER TO NAME;",
        rb"^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .* (?:TO|FROM) NAME(?: WITH .*| GRANTED BY .*)?;",
        rb"^ALTER DEFAULT PRIVILEGES FOR (?:ROLE|USER) NAME",
        rb"^ALTER ROLE NAME",
        rb"^CREATE POLICY .* TO NAME(?: USING| WITH|;)",
        rb"^CREATE SCHEMA .*AUTHORIZATION NAME;",
        rb"^CREATE USER MAPPING FOR NAME",
        rb"^SET SESSION AUTHORIZATION '?NAME'?;",
    )
)
_MADE_ROLE = re.compile(rb"^CREATE (?:ROLE|USER) (" + _NAME + rb")[ ;]")
_NO_ROLES = {"public", "current_user", "session_user", "current_role", "default"}
_TABLESPACE = re.compile(rb"^SET default_tablespace = (" + _NAME + rb");")
_LOCATION = re.compile(rb"^(CREATE TABLESPACE .* LOCATION )'.*';")
_GRANTED_BY = re.compile(rb" GRANTED BY (?:" + _NAME + rb");")
_DROP = re.compile(rb"^DROP ((?:(?!FOR )[A-Z]+ )+)")
_ALTER_DROP = re.compile(rb"^ALTER TABLE (.* DROP (?:CONSTRAINT|(?=DEFAULT)))")
_UNLINK = re.compile(rb"^SELECT pg_catalog\.lo_unlink\('(\d+)'\);")
_UNLINK_ANY = rb"SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '\1';"
_INTERESTING = (
    *(b"ALTER ", b"GRANT ", b"REVOKE ", b"CREATE ", b"SET ", b"DROP ", b"COPY "),
    *(b"-- PostgreSQL database ", b"SELECT pg_catalog.lo_unlink("),
)
_HEADERS = (b"-- PostgreSQL database dump", b"-- PostgreSQL database cluster dump")


class Adapter:
    """Passes a script on line by line, through a connection to the sandbox that it will run in.

    Roles and tablespaces that the script only names are made, databases get a locale that the sandbox has, and what is
    dropped may be missing. Rows of COPY pass untouched; lines keep their numbers.
    """

    def __init__(self, connection: Connection[tuple[object, ...]], name: str) -> None:
        self.connection, self.name = connection, name
        self.made_roles: list[str] = []
        self.lacking_locale = ""
        self._roles = {str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles")}
        self._tablespaces: set[str] = set()
        self._copying = b""
        self._begun: list[bytes] = []

    def adapted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The script in chunks of whole lines. Raises CorruptError when it ends before its own last line."""
        parts: list[bytes] = []
        for chunk in chunks:
            head, newline, rest = chunk.rpartition(b"\n")
            if not newline:
                parts.append(chunk)
                continue
            whole, parts = b"".join([*parts, head]), [rest]
            # Most of a dump are rows, and each would be looked at; a chunk that ends none of them passes as it is.
            rows = self._copying and b"\\." not in whole
            yield (whole if rows else b"\n".join(self._lines(whole.split(b"\n")))) + b"\n"
        yield b"\n".join(self._lines([b"".join(parts)]))
        if self._copying:
            table = self._copying.removeprefix(b"COPY ").split(b" (")[0].split(b" FROM ")[0].decode(errors="replace")
            raise CorruptError(f"{self.name} ends among the rows of table {table}: it was cut, test an older one")
        if self._begun:
            raise CorruptError(
                f"{self.name} ends before the line '{self._begun[-1].decode()} complete': it was cut, test an older one"
            )

    def _lines(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            if self._copying:
                if line.rstrip(b"\r") == b"\\.":
                    self._copying = b""
                yield line
            elif line.startswith(_INTERESTING):
                yield self._line(line)
            else:
                yield line

    def _line(self, line: bytes) -> bytes:
        if line.startswith(b"COPY "):
            self._copying = line if b" FROM stdin" in line else b""
            return line
        if line.startswith(b"--"):
            self._header(line.rstrip())
            return line
        if line.startswith(b"CREATE DATABASE "):
            return self._database(line)
        if found := _TABLESPACE.match(line):
            self._make_tablespace(_unquoted(found[1]))
        if found := _MADE_ROLE.match(line):
            self._roles.add(_unquoted(found[1]))
        for place in _ROLES:
            if found := place.match(line):
                self._make_roles(found[1])
        return _LOCATION.sub(rb"\1'';", _GRANTED_BY.sub(b";", _if_exists(line)))

    def _header(self, line: bytes) -> None:
        """Scripts say where they begin and, in their last line, that they are complete; a cluster's holds others."""
        if line in _HEADERS:
            self._begun.append(line)
        elif self._begun and line == self._begun[-1] + b" complete":
            self._begun.pop()

    def _database(self, line: bytes) -> bytes:
        statement, reason = possible_here(self.connection, line.decode(errors="replace"))
        self.lacking_locale = self.lacking_locale or reason
        return statement.encode()

    def _make_roles(self, names: bytes) -> None:
        for name in map(_unquoted, _NAMES.findall(names)):
            if name not in self._roles and name not in _NO_ROLES and not name.startswith("pg_"):
                # Some objects may only belong to a superuser, and nobody logs in to a sandbox.
                self.connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(name)))
                self._roles.add(name)
                self.made_roles.append(name)

    def _make_tablespace(self, name: str) -> None:
        if name not in self._tablespaces:
            self._tablespaces.add(name)
            found = self.connection.execute("SELECT 1 FROM pg_tablespace WHERE spcname = %s", (name,)).fetchone()
            if not found:
                self.connection.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(name)))


def _if_exists(line: bytes) -> bytes:
    """The statement, so that it does not fail when what it drops is missing."""
    if b" IF EXISTS " in line:
        return line
    if found := _ALTER_DROP.match(line):
        missing_too = b" IF EXISTS" if found[1].endswith(b"CONSTRAINT") else b""
        return b"ALTER TABLE IF EXISTS " + found[1] + missing_too + line[found.end() :]
    return _UNLINK.sub(_UNLINK_ANY, _DROP.sub(rb"DROP \1IF EXISTS ", line))


def _unquoted(name: bytes) -> str:
    """The name as the catalog has it."""
    text = name.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()
