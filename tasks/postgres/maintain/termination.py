"""The report of long statements: each session, what it blocks, and what became of it."""

from typing import Any, ClassVar

from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.postgres.maintain.sessions import How, LongQuery


class TerminationResult(FlowResult):
    """One row per session over the limit."""

    csv_header: ClassVar[tuple[str, ...]] = (*LongQuery.model_fields, "database", "ended")
    rows: tuple[dict[str, Any], ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The sessions, the longest first, with what became of them."""
        return list(self.rows)


def said_check(database: str, one: LongQuery, system: str) -> CheckResult:
    """What is known of one session over the limit, and the command that ends it."""
    blocks = f", {len(one.blocks)} sessions wait for it" if one.blocks else ""
    message = f"{one.role} ({one.application_name}) is {one.state} for {one.seconds:.0f} s{blocks}: {one.query}"
    command = f"nightshift run query_termination system={system} database={database} pids=[{one.pid}] dry_run=false"
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
    return CheckResult(name="end", target=f"{database} session {pid}", verdict=verdict, message=message)


def ended_check(database: str, one: LongQuery, ended: str, how: How) -> CheckResult:
    """What became of a session; FAIL when it was not seen to end."""
    still = f"still runs ten seconds after it was asked to {how}; try how=terminate, or look at the server's log"
    return CheckResult(
        name="end",
        target=f"{database} session {one.pid}",
        verdict=Verdict.OK if ended else Verdict.FAIL,
        message=ended or still,
    )
