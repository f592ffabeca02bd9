"""Disabling roles that a signed review named as inactive: looked at once more, written down first, undone by a line."""

from datetime import datetime
from typing import Any, ClassVar, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field

from tasks.base.clock import iso, utc_now
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError
from tasks.base.system import Database, System
from tasks.base.words import CheckResult, FlowResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.accounts import Statements, statements
from tasks.postgres.connection import connect
from tasks.postgres.maintain.session import Session, maintaining
from tasks.repository import journal
from tasks.repository.store import Store

RECORDS = "role_disablings"


class Request(Frozen):
    """What a person asks for, and on what ground."""

    review_id: str
    review_sha256: str
    reviewed_at: datetime = Field(description="Whoever was seen after that is not inactive")
    signed_by: str
    asked_by: str
    dry_run: bool
    statements: dict[str, int] = Field(
        default_factory=dict, description="How many statements of a role the review saw counted, by its SCOPE/NAME"
    )


class DisablingResult(FlowResult):
    """One row per role of the sign-off."""

    csv_header: ClassVar[tuple[str, ...]] = ("database", "role", "outcome", "reason", "sessions", "undo")
    rows: tuple[dict[str, Any], ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The roles, with what became of them."""
        return list(self.rows)


class _Now(Frozen):
    """A role at this moment."""

    name: str
    can_log_in: bool
    first: bool = Field(description="The server's first superuser, without which nobody can mend anything")
    own: bool
    last_superuser: bool = Field(description="No other superuser may log in")
    quoted: str
    sessions: tuple[int, ...]
    last_login: datetime | None = Field(description="Of its sessions; None: none, or not shown to this role")
    at: datetime = Field(description="The moment by the server's clock, as its other times are")

    @property
    def undo(self) -> str:
        """What lets it log in again."""
        return f"ALTER ROLE {self.quoted} LOGIN"


def disable_roles(
    database: Database, names: list[str], system: System, store: Store, run_id: str, request: Request
) -> tuple[list[CheckResult], list[dict[str, Any]]]:
    """Take LOGIN from the roles, one after the other; one that is refused, or fails, stops no other.

    Safe to run again: one that cannot log in any more is left as it is. Raises RefusedError when nobody is said to ask;
    UnreachableError when a connection of the system cannot be asked which role it is.
    """
    if not request.dry_run and not request.asked_by.strip():
        raise RefusedError("who asks for it is kept with what was done, and nobody is named; add asked_by=NAME")
    checks, rows = [], []
    needed = roles_of_nightshift(system)
    with maintaining(database, run_id) as session:
        use = statements(session)
        for name in names:
            keep = f"is the role of {needed[name]}, which would be locked out" if name in needed else ""
            check, row = _one(session, database.name, name, keep, use, system.name, store, run_id, request)
            checks.append(check)
            rows.append(row)
    return checks, rows


def roles_of_nightshift(system: System) -> dict[str, str]:
    """The roles that the system file's own connections log in as, each with the connection in words."""
    found = {}
    for one in system.databases:
        for dsn in (one.dsn, one.lock_dsn, *one.standbys):
            if dsn is not None:
                found[_role_of(one, dsn)] = f"Nightshift's connection to '{one.name}'"
    for credential in system.credentials.entries:
        if credential.admin_dsn is not None:
            admin = system.databases[0].model_copy(update={"password": credential.admin_password})
            found[_role_of(admin, credential.admin_dsn)] = f"the connection that rotates '{credential.name}'"
    return found


def _role_of(database: Database, dsn: str) -> str:
    """As the connection string says; one that leaves it to a service file or the environment is asked by a login."""
    stated = conninfo_to_dict(dsn).get("user")
    if stated:
        return str(stated)
    with connect(database, application_name="nightshift:accounts", dsn=dsn) as session:
        return session.info.user


def _one(
    session: Session, database: str, name: str, keep: str, use: Statements | str, system: str, store: Store,
    run_id: str, request: Request,
) -> tuple[CheckResult, dict[str, Any]]:  # fmt: skip
    role = _now(session, name)
    if role is None:
        return _told(database, name, Verdict.INFO, "gone", "there is no such role any more", None)
    if not role.can_log_in:
        return _told(database, name, Verdict.OK, "already", "cannot log in already; nothing was changed", role)
    counted = request.statements.get(f"postgres {database}/{name}")
    reason = _needed(role, keep) or _used(role, use, request.reviewed_at, counted)
    if reason:
        return _told(database, name, Verdict.FAIL, "refused", reason, role)
    if request.dry_run:
        said = f"would be disabled: ALTER ROLE {role.quoted} NOLOGIN"
        return _told(database, name, Verdict.INFO, "planned", said, role)
    try:
        role = _recorded(session, role, database, system, store, run_id, request)
    except NightshiftError as error:
        return _told(database, name, Verdict.FAIL, "failed", str(error), role)
    said = f"was disabled; undo it by: {role.undo}"
    if role.sessions:
        said += f"; sessions {_pids(role)} began at that very moment and go on until they end: look whose they are"
    return _told(database, name, Verdict.WARN if role.sessions else Verdict.OK, "disabled", said, role)


def _needed(role: _Now, keep: str) -> str:
    """Why the role must be able to log in whatever the review says; empty when nothing speaks for it."""
    reasons = {
        "is the role of this connection, which would lock itself out; let another one do it": role.own,
        "is the server's first superuser, without which nobody can mend anything": role.first,
        "is the last superuser that may log in, without which nobody can mend anything": role.last_superuser,
        keep: bool(keep),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _used(role: _Now, use: Statements | str, reviewed_at: datetime, counted: int | None) -> str:
    """What shows that it is not inactive; empty when nothing does. `counted`: its statements at the review."""
    if role.sessions:
        since = f", the newest since {iso(role.last_login)}" if role.last_login is not None else ""
        return (
            f"has sessions now ({_pids(role)}{since}): it is in use; look whose they are, then review again, or end "
            f"them: SELECT pg_terminate_backend({role.sessions[0]}), and run this again"
        )
    seen = None if isinstance(use, str) else use.roles.get(role.name)
    if seen is None:
        return ""
    # What the server saw is held against its own clock, so that a clock that is wrong lets nobody pass.
    if seen.newest_since is not None and seen.newest_since > role.at - (utc_now() - reviewed_at):
        return f"was seen with a statement at {iso(seen.newest_since)}, after the review; it is in use: review again"
    if counted is not None and seen.calls > counted:
        return f"ran {seen.calls - counted} statements after the review; it is in use: review again"
    return ""


def _recorded(
    session: Session, role: _Now, database: str, system: str, store: Store, run_id: str, request: Request
) -> _Now:
    """The intent is stored first, then it is done, then what was seen; the journal folds both by run and role."""
    row = {
        "run_id": run_id, "database": database, "role": role.name, "undo": role.undo,
        **request.model_dump(mode="json", exclude={"dry_run", "statements"}),
    }  # fmt: skip

    def record(outcome: str) -> None:
        # A role's name may hold what no key of a store may; its place in the run's list of roles does not matter.
        key = f"{run_id}-{role.name.encode().hex()[:32]}-{outcome}"
        journal.append(store, system, RECORDS, [row | {"at": iso(utc_now()), "outcome": outcome}], key)

    try:
        record("asked")
    except NightshiftError as error:
        raise IncompleteError(f"was not disabled, for the store did not take the record of it: {error}") from None
    try:
        session.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role.name)))
    except psycopg.errors.InsufficientPrivilege:
        raise RefusedError(
            f"this connection may not change it; as a superuser: ALTER ROLE {role.quoted} NOLOGIN"
        ) from None
    after = _now(session, role.name)
    outcome = "disabled" if after is not None and not after.can_log_in else "not seen"
    try:
        record(outcome)
    except NightshiftError as error:
        raise IncompleteError(
            f"was disabled; the store has the record of who asked, and did not take what was seen: {error}"
        ) from None
    if after is None or outcome != "disabled":
        raise IncompleteError("can still log in, or is gone; look who changes it at the same time")
    return after


def _pids(role: _Now) -> str:
    return ", ".join(map(str, role.sessions))


def _now(session: Session, name: str) -> _Now | None:
    row = session.execute(queries.load("accounts/role_to_disable"), (name,)).fetchone()
    if row is None:
        return None
    login, first, own, last_superuser, quoted, pids, last, at = cast(
        tuple[bool, bool, bool, bool, str, list[int], datetime | None, datetime], row
    )
    return _Now(
        name=name,
        can_log_in=login,
        first=first,
        own=own,
        last_superuser=last_superuser,
        quoted=quoted,
        sessions=tuple(pids),
        last_login=last,
        at=at,
    )


def _told(
    database: str, name: str, verdict: Verdict, outcome: str, reason: str, role: _Now | None
) -> tuple[CheckResult, dict[str, Any]]:
    row = {
        "database": database,
        "role": name,
        "outcome": outcome,
        "reason": reason,
        "sessions": " ".join(map(str, role.sessions)) if role else "",
        "undo": role.undo if role and outcome in ("disabled", "already", "planned") else "",
    }
    return CheckResult(name="disable", target=f"{database} role {name}", verdict=verdict, message=reason), row
