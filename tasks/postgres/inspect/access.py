"""What a role may read of a database, asked before a backup needs it."""

from collections import defaultdict
from typing import cast

from pydantic import Field

from tasks.base.system import Database
from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.clock_skew import clock_skew_seconds
from tasks.postgres.fingerprint.session import reader


class Access(Frozen):
    """A database as one role sees it."""

    role: str = Field(description="The role, quoted as it stands in a GRANT")
    superuser: bool
    standby: bool
    reads_role_passwords: bool
    reads_large_object_pages: bool
    server_version: str
    server_version_num: int
    database_name: str
    database_bytes: int
    encrypted: bool = Field(description="Whether this connection uses TLS")
    clock_skew_seconds: float = Field(description="The server's clock minus this host's, in seconds")
    other_databases: tuple[str, ...] = Field(description="Further databases of the server that the role may enter")
    extensions: tuple[str, ...]
    gaps: dict[str, tuple[str, ...]] = Field(
        description="Names that the role may not read by kind: schema, table, sequence, row security, large object"
    )


def read_access(database: Database) -> Access:
    """Ask the server; reads catalogs only. Raises UnreachableError, RefusedError, ConfigurationError."""
    with reader(database, None, "nightshift:check") as session:
        row = cast(
            tuple[str, bool, bool, bool, bool, str, int, str, int],
            session.execute(queries.load("access_role")).fetchone(),
        )
        gaps: dict[str, list[str]] = defaultdict(list)
        for kind, name in session.execute(queries.load("access_gaps")).fetchall():
            gaps[str(kind)].append(str(name))
        return Access(
            role=row[0],
            superuser=row[1],
            standby=row[2],
            reads_role_passwords=row[3],
            reads_large_object_pages=row[4],
            server_version=row[5],
            server_version_num=row[6],
            database_name=row[7],
            database_bytes=row[8],
            encrypted=session.pgconn.ssl_in_use,
            clock_skew_seconds=clock_skew_seconds(session),
            other_databases=_names(session.execute(queries.load("other_databases")).fetchall()),
            extensions=_names(session.execute(queries.load("extensions")).fetchall()),
            gaps={kind: tuple(names) for kind, names in gaps.items()},
        )


def _names(rows: list[tuple[object, ...]]) -> tuple[str, ...]:
    return tuple(str(row[0]) for row in rows)
