"""Disabling roles that a signed review named as inactive: looked at once more, written down first, undone by a line."""

from datetime import datetime
from typing import Any, ClassVar, cast

import psycopg
from psycopg import sql
from pydantic import Field

from tasks.base.clock import iso, utc_now
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError
from tasks.base.system import Database
from tasks.base.words import CheckResult, FlowResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.accounts import Statements, statements
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
    quoted: str
    sees_sessions: bool
    sessions: tuple[int, ...]
    last_login: datetime | None = Field(description="Of its sessions; None: none, or not shown to this role")
    at: datetime = Field(description="The moment by the server's clock, as its other times are")

    @property
    def undo(self) -> str:
        """What lets it log in again."""
        return f"ALTER ROLE {self.quoted} LOGIN"


def disable_roles(
    database: Database, names: list[str], system: str, store: Store, run_id: str, request: Request
) -> tuple[list[CheckResult], list[dict[str, Any]]]:
    """Take LOGIN from the roles, one after the other; one that is refused, or fails, stops no other.

    Safe to run again: one that cannot log in any more is left as it is. Raises RefusedError when nobody is said to ask.
    """
    if not request.dry_run and not request.asked_by.strip():
        raise RefusedError("who asks for it is kept with what was done, and nobody is named; add asked_by=NAME")
    checks, rows = [], []
    with maintaining(database, run_id) as session:
        use = statements(session)
        for name in names:
            check, row = _one(session, database.name, name, use, system, store, run_id, request)
            checks.append(check)
            rows.append(row)
    return checks, rows


def _one(
    session: Session, database: str, name: str, use: Statements | str, system: str, store: Store, run_id: str,
    request: Request,
) -> tuple[CheckResult, dict[str, Any]]:  # fmt: skip
    role = _now(session, name)
    if role is None:
        return _told(database, name, Verdict.INFO, "gone", "there is no such role any more", None)
    if not role.can_log_in:
        return _told(database, name, Verdict.OK, "already", "cannot log in already; nothing was changed", role)
    reason = _refusal(role, use, request)
    if reason:
        return _told(database, name, Verdict.FAIL, "refused", reason, role)
    kept = f"; its sessions {', '.join(map(str, role.sessions))} go on until they end" if role.sessions else ""
    if request.dry_run:
        said = f"would be disabled: ALTER ROLE {role.quoted} NOLOGIN{kept}"
        return _told(database, name, Verdict.WARN if kept else Verdict.INFO, "planned", said, role)
    try:
        _recorded(session, role, database, system, store, run_id, request)
    except NightshiftError as error:
        return _told(database, name, Verdict.FAIL, "failed", str(error), role)
    said = f"was disabled; undo it by: {role.undo}{kept}"
    return _told(database, name, Verdict.WARN if kept else Verdict.OK, "disabled", said, role)


def _refusal(role: _Now, use: Statements | str, request: Request) -> str:
    """Why the role must stay as it is; empty when nothing speaks against it."""
    if role.own:
        return "is the role of this connection, which would lock itself out; let another one do it"
    if role.first:
        return "is the server's first superuser, without which nobody can mend anything"
    if role.sessions and not role.sees_sessions:
        return "has sessions, and this role does not see since when; GRANT pg_read_all_stats to it"
    # What the server saw is held against its own clock, so that a clock that is wrong lets nobody pass.
    reviewed_at = role.at - (utc_now() - request.reviewed_at)
    if role.last_login is not None and role.last_login > reviewed_at:
        return f"was seen logging in at {iso(role.last_login)}, after the review; it is in use: review again"
    last = None if isinstance(use, str) else use.roles.get(role.name)
    if last is not None and last > reviewed_at:
        return f"was seen with a statement at {iso(last)}, after the review; it is in use: review again"
    return ""


def _recorded(
    session: Session, role: _Now, database: str, system: str, store: Store, run_id: str, request: Request
) -> None:
    """The intent is stored first, then it is done, then what was seen; the journal folds both by run and role."""
    row = {
        "run_id": run_id, "database": database, "role": role.name, "undo": role.undo, "sessions": list(role.sessions),
        **request.model_dump(mode="json", exclude={"dry_run"}),
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
    if outcome != "disabled":
        raise IncompleteError("can still log in, or is gone; look who changes it at the same time")


def _now(session: Session, name: str) -> _Now | None:
    row = session.execute(queries.load("accounts/role_to_disable"), (name,)).fetchone()
    if row is None:
        return None
    login, first, own, quoted, sees, pids, last, at = cast(
        tuple[bool, bool, bool, str, bool, list[int], datetime | None, datetime], row
    )
    return _Now(
        name=name,
        can_log_in=login,
        first=first,
        own=own,
        quoted=quoted,
        sees_sessions=sees,
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
