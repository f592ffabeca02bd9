"""Who waits for whose lock at this moment, and how many did at the reviews before."""

from collections.abc import Sequence
from typing import cast

from psycopg import Connection

from tasks.base.attachments import Table
from tasks.base.clock import iso
from tasks.base.performance import Part, PerformancePolicy
from tasks.base.statements import without_literals
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.review.snapshots import Snapshot

HEADER = ("database", "pid", "role", "lock", "object", "seconds", "blocked_by", "statement")


class LockWait(Frozen):
    """A session that waits for a lock."""

    pid: int
    role: str
    lock: str
    object: str
    seconds: float
    statement: str
    blocked_by: str


def read(session: Connection[tuple[object, ...]]) -> tuple[LockWait, ...]:
    """Those of the session's database, the longest first, their statements without literals."""
    rows = session.execute(queries.load("review/lock_waits")).fetchall()
    found = [dict(zip(LockWait.model_fields, row, strict=True)) for row in rows]
    return tuple(
        LockWait.model_validate(row | {"statement": without_literals(cast(str, row["statement"]))}) for row in found
    )


def part(waits: Sequence[LockWait], now: Snapshot, history: Sequence[Snapshot], policy: PerformancePolicy) -> Part:
    """One check with the longest wait, and all of them as a table."""
    trust = "a look at one moment: what comes and goes in between is only in the log, with log_lock_waits = on"
    former = [one.gauges.get("lock_waits", 0.0) for one in history]
    before = (
        f"at most {max(former):.0f} did at {len(former)} reviews since {iso(history[0].taken_at)}; " if former else ""
    )
    if not waits:
        message = f"no session waits for a lock now; {before}{trust}"
        return Part(
            checks=(CheckResult(name="lock waits", target=now.database, verdict=Verdict.INFO, message=message),)
        )
    worst = waits[0]
    check = CheckResult(
        name="lock waits",
        target=now.database,
        verdict=Verdict.WARN if worst.seconds > policy.lock_wait_seconds else Verdict.INFO,
        message=f"{len(waits)} sessions wait for a lock now, the longest since {worst.seconds:.1f} s: session "
        f"{worst.pid} of {worst.role} for {worst.lock} on {worst.object} behind {worst.blocked_by}; {before}{trust}",
        value=round(worst.seconds, 1),
        unit="s",
        threshold=policy.lock_wait_seconds,
        next_command="nightshift run query_termination shows who blocks and ends the named one",
    )
    rows = tuple({"database": now.database, **one.model_dump()} for one in waits)
    return Part(
        checks=(check,),
        attachments=(Table(name="lock_waits", title="Who waits for a lock now", header=HEADER, rows=rows),),
    )
