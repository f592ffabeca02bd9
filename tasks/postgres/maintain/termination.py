"""Long statements of a database: listed with what they block, and the ones that a person names ended and recorded."""

from typing import Any, ClassVar

from pydantic import Field

from tasks.base.clock import iso, utc_now
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError
from tasks.base.system import Database
from tasks.base.words import CheckResult, FlowResult, Frozen, Verdict
from tasks.postgres.maintain.session import Session, maintaining
from tasks.postgres.maintain.sessions import How, LongQuery, end_session, long_queries, sees_others
from tasks.repository import journal
from tasks.repository.store import Store

RECORDS = "terminations"


class Request(Frozen):
    """What a person asks for."""

    seconds: float = Field(description="Sessions that are at it for longer than this")
    pids: tuple[int, ...] = Field(description="Those of them that are to be ended")
    how: How
    asked_by: str
    dry_run: bool


class TerminationResult(FlowResult):
    """One row per session over the limit."""

    csv_header: ClassVar[tuple[str, ...]] = (*LongQuery.model_fields, "database", "ended")
    rows: tuple[dict[str, Any], ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The sessions, the longest first, with what became of them."""
        return list(self.rows)


def list_and_end(
    database: Database, system: str, store: Store, run_id: str, request: Request
) -> tuple[list[CheckResult], list[dict[str, Any]]]:
    """All sessions over the limit; the named ones of them are ended, and who asked is written down before that.

    Raises RefusedError when nobody is said to ask, or this role does not see what other sessions do.
    """
    if request.pids and not request.dry_run and not request.asked_by:
        raise RefusedError("who asks for it is kept with what was ended, and nobody is named; add asked_by=NAME")
    with maintaining(database, run_id) as session:
        if not sees_others(session):
            raise RefusedError(
                f"this role does not see what other sessions of '{database.name}' do; GRANT pg_monitor to it"
            )
        found = long_queries(session, request.seconds)
        known = {one.pid: one for one in found}
        checks = [said_check(database.name, one, system) for one in found if one.pid not in request.pids]
        ended: dict[int, str] = {}
        for pid in dict.fromkeys(request.pids):
            one = known.get(pid)
            idle = one is not None and one.state != "active" and request.how == "cancel"
            if one is None or one.protected or idle or request.dry_run:
                checks.append(refused_check(database.name, pid, one, request.seconds, request.how))
                continue
            try:
                ended[pid] = _end_recorded(session, one, database.name, system, store, run_id, request)
                checks.append(ended_check(database.name, one, ended[pid], request.how))
            except NightshiftError as error:
                checks.append(_end(database.name, pid, Verdict.FAIL, str(error)))
    return checks, [_row(one, database.name, ended.get(one.pid, "")) for one in found]


def _end_recorded(
    session: Session, one: LongQuery, database: str, system: str, store: Store, run_id: str, request: Request
) -> str:
    """The intent is stored first, then it is done, then what was seen; the journal folds both by run and pid."""
    row = {"run_id": run_id, "database": database, "asked_by": request.asked_by, "how": request.how}
    row |= one.model_dump(mode="json")

    def record(outcome: str, ended: str) -> None:
        rows = [row | {"at": iso(utc_now()), "outcome": outcome, "ended": ended}]
        journal.append(store, system, RECORDS, rows, f"{run_id}-{one.pid}-{outcome}")

    try:
        record("asked", "")
    except NightshiftError as error:
        raise IncompleteError(f"was not ended, for the store did not take the record of it: {error}") from None
    ended = end_session(session, one, request.how)
    try:
        record("seen", ended)
    except NightshiftError as error:
        raise IncompleteError(
            f"was asked to {request.how}: {ended or 'it still runs'}; "
            f"the store has the record of who asked, and did not take what was seen: {error}"
        ) from None
    return ended


def _row(one: LongQuery, database: str, ended: str) -> dict[str, Any]:
    blocks = " ".join(map(str, one.blocks))
    return {**one.model_dump(mode="json"), "blocks": blocks, "database": database, "ended": ended}


def said_check(database: str, one: LongQuery, system: str) -> CheckResult:
    """What is known of one session over the limit, and the command that ends it."""
    blocks = f", {len(one.blocks)} sessions wait for it" if one.blocks else ""
    message = f"{one.role} ({one.application_name}) is {one.state} for {one.seconds:.0f} s{blocks}: {one.query}"
    command = (
        f"nightshift run query_termination system={system} database={database} asked_by=NAME "
        f"pids=[{one.pid}] dry_run=false"
    )
    return CheckResult(
        name="long query",
        target=f"{database} session {one.pid}",
        verdict=Verdict.WARN if one.blocks else Verdict.INFO,
        message=f"{one.protected}, never ended: {message}" if one.protected else message,
        value=one.seconds,
        unit="seconds",
        next_command="" if one.protected else command,
    )


def refused_check(database: str, pid: int, one: LongQuery | None, seconds: float, how: How) -> CheckResult:
    """Why a named session was not ended; in a dry run, that it would be."""
    if one is None:
        message = f"is not at work for longer than {seconds:.0f} s in this database; nothing was ended"
    elif one.protected:
        message = f"is {one.protected}, which this flow never ends; cancel the run that it belongs to"
    elif one.state != "active" and how == "cancel":
        message = "is idle in a transaction, where there is nothing to cancel; start it with how=terminate"
    else:
        message = f"would be ended: {one.role} ({one.application_name}), {one.query}"
    verdict = Verdict.INFO if message.startswith("would be ended") else Verdict.FAIL
    return _end(database, pid, verdict, message)


def ended_check(database: str, one: LongQuery, ended: str, how: How) -> CheckResult:
    """What became of a session; FAIL when it was not seen to end."""
    still = f"still runs ten seconds after it was asked to {how}; try how=terminate, or look at the server's log"
    return _end(database, one.pid, Verdict.OK if ended else Verdict.FAIL, ended or still)


def _end(database: str, pid: int, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="end", target=f"{database} session {pid}", verdict=verdict, message=message)
