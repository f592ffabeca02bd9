"""The accounts of a database server with their rights, and which of them somebody uses, as far as it can tell."""

from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from typing import cast

import psycopg
from psycopg import sql
from pydantic import Field

from tasks.base.accounts import Account, Look, Rules, Seen, access_finding
from tasks.base.errors import IncompleteError
from tasks.base.findings import Finding, Scan, Severity
from tasks.base.scans import Scanning, as_scan
from tasks.base.system import Database, System
from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.fingerprint.session import Reader, reader

_APPLICATION = "nightshift:accounts"
RULES: Rules = {"unused-role": (Severity.MEDIUM, "it may log in and nobody does: the review decides whether it stays")}


class Role(Frozen):
    """A role and its sessions."""

    name: str
    can_log_in: bool
    sessions: int
    own: bool = Field(description="This connection's own, or the server's first one: needed whoever uses it")


class Use(Frozen):
    """What is counted of one role."""

    newest_since: datetime | None = Field(description="When its newest statement was first seen; from PostgreSQL 17 on")
    calls: int = Field(description="How often its statements ran, those of all databases together")


class Statements(Frozen):
    """What pg_stat_statements tells of who uses the server."""

    since: datetime = Field(description="When it began to count")
    evictions: int = Field(description="How often it threw statements out; then absence proves nothing")
    roles: dict[str, Use] = Field(description="Roles with a statement")


def looks(system: System) -> list[tuple[str, Look]]:
    """What the review asks of each database; roles of a shared server are told for each of its databases."""
    return [(f"postgres {one.name}", partial(look, one)) for one in system.databases]


def look(database: Database) -> Seen:
    """All roles of the server, and PUBLIC, with their rights in this database, by catalogs that everyone may read."""
    with reader(database, None, _APPLICATION) as session:
        roles, now = _roles(session)
        rights: defaultdict[str, list[str]] = defaultdict(list)
        for who, told in cast(list[tuple[str, str]], session.execute(queries.load("accounts/rights")).fetchall()):
            rights[who].append(told)
        use = statements(session)
    scope = f"postgres {database.name}"
    everyone = Role(name="PUBLIC", can_log_in=False, sessions=0, own=True)
    return Seen(
        scope=scope,
        accounts=tuple(_account(scope, one, rights[one.name], use, now) for one in [*roles, everyone]),
    )


def audits(system: System) -> list[Scanning]:
    """One question for unused roles per database, when the system file asks it."""
    days = system.access.unused_role_days
    return [] if days is None else [(_use_scope(one), partial(audit, one, days)) for one in system.databases]


def audit(database: Database, days: int) -> Scan:
    """Roles that may log in, of which there is neither a session nor a statement for `days`; else why it is not known.

    A scope of its own: a server that cannot tell closes nothing of it, and the audit of roles goes on.
    """
    return as_scan(_use_scope(database), "sessions and statements", partial(_unused, database, days))


def _unused(database: Database, days: int) -> list[Finding]:
    with reader(database, None, _APPLICATION) as session:
        (roles, now), use = _roles(session), statements(session)
    if isinstance(use, str):
        raise IncompleteError(f"whether roles of '{database.name}' are used is not known: {use}")
    if now - use.since < timedelta(days=days):
        raise IncompleteError(
            f"pg_stat_statements of '{database.name}' counts since {use.since:%Y-%m-%d}, which says nothing yet of "
            f"{days} days; ask again on {use.since + timedelta(days=days):%Y-%m-%d}"
        )
    if use.evictions:
        raise IncompleteError(
            f"pg_stat_statements of '{database.name}' threw statements out {use.evictions} times, a rare one may be "
            "among them; raise pg_stat_statements.max, then SELECT pg_stat_statements_reset()"
        )
    scope, detail = _use_scope(database), f"no session now, no statement since {use.since:%Y-%m-%d}"
    unused = [one for one in roles if one.can_log_in and not one.own and not one.sessions and one.name not in use.roles]
    return [access_finding(RULES, scope, "unused-role", one.name, detail) for one in unused]


def statements(session: Reader) -> Statements | str:
    """What pg_stat_statements counts by role, in all databases of the server; or why it is not known."""
    version, schema, *_ = cast(tuple[str | None, str], session.execute(queries.load("review/extension")).fetchone())
    if version is None:
        return "CREATE EXTENSION pg_stat_statements, loaded by shared_preload_libraries, would tell from then on"
    place = sql.Identifier(schema)
    try:
        with session.transaction():
            info = sql.SQL(queries.load("review/statements_info").decode()).format(schema=place)
            evictions, since, *_ = cast(tuple[int, datetime | None], session.execute(info).fetchone())
            found = sql.SQL(queries.load("accounts/statements").decode()).format(schema=place)
            rows = cast(list[tuple[str, datetime | None, int]], session.execute(found).fetchall())
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.UndefinedTable):
        return "load pg_stat_statements by shared_preload_libraries, ALTER EXTENSION pg_stat_statements UPDATE"
    if since is None:
        return "pg_stat_statements does not say since when it counts; SELECT pg_stat_statements_reset()"
    roles = {name: Use(newest_since=newest, calls=calls) for name, newest, calls in rows}
    return Statements(since=since, evictions=evictions, roles=roles)


def _roles(session: Reader) -> tuple[list[Role], datetime]:
    rows = session.execute(queries.load("accounts/roles")).fetchall()
    found = cast(list[tuple[str, bool, int, bool, datetime]], rows)
    roles = [Role(name=name, can_log_in=login, sessions=count, own=own) for name, login, count, own, _ in found]
    return roles, found[0][-1]


def _account(scope: str, role: Role, rights: list[str], use: Statements | str, now: datetime) -> Account:
    last, told = None, ""
    if role.sessions:
        last, told = now, f"{role.sessions} sessions at that moment"
    elif isinstance(use, str):
        told = f"no session now; {use}"
    elif role.name in use.roles:
        last, told = use.roles[role.name].newest_since, f"a statement since {use.since:%Y-%m-%d}"
    else:
        told = f"no session now, no statement since {use.since:%Y-%m-%d}"
    return Account(
        scope=scope,
        name=role.name,
        kind="database role",
        rights=tuple(sorted(rights)),
        can_log_in=role.can_log_in,
        last_seen=last,
        seen_by=told,
        statements=None if isinstance(use, str) else use.roles[role.name].calls if role.name in use.roles else 0,
    )


def _use_scope(database: Database) -> str:
    return f"postgres {database.name} use of roles"
