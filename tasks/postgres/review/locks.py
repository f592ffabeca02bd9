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


def part(
    system: str, waits: Sequence[LockWait], now: Snapshot, history: Sequence[Snapshot], policy: PerformancePolicy
) -> Part:
    """One check with the longest wait, and all of them as a table."""
    trust = "a look at one moment: what comes and goes in between is only in the log, with log_lock_waits = on"
    looked = [one for one in history if "lock_waits" in one.gauges]  # older reviews did not look
    most = max((one.gauges["lock_waits"] for one in looked), default=0.0)
    before = f"at most {most:.0f} did at {len(looked)} reviews since {iso(looked[0].taken_at)}; " if looked else ""
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
        next_command=f"nightshift run query_termination system={system} database={now.database} "
        f"minutes={policy.lock_wait_seconds / 60:.2g}",
    )
    rows = tuple({"database": now.database, **one.model_dump()} for one in waits)
    return Part(
        checks=(check,),
        attachments=(Table(name="lock_waits", title="Who waits for a lock now", header=HEADER, rows=rows),),
    )
