"""Indexes that no server of a database has scanned for long enough, proven by stored counts; never dropped here."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from psycopg import Connection
from pydantic import Field

from tasks.base.performance import Part, PerformancePolicy
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.review.snapshots import Snapshot

Session = Connection[tuple[object, ...]]
_SCANS = ("scans",)
_LOCKED = "not known, its table is locked just now; the next review prints it"


class Usable(Frozen):
    """An index as it is now; of a partitioned one the root, with all its leaves counted together."""

    oid: int
    scans: float
    size_bytes: int
    name: str = Field(description="SCHEMA.NAME, quoted")
    definition: str = Field(description="CREATE INDEX …; empty while its table is locked")
    partitioned: bool
    expression: bool
    needed: bool = Field(description="Whether a constraint, replication or CLUSTER goes by it")


class Usage(Frozen):
    """What one node counted, and for the primary how many standbys stream from it."""

    snapshot: Snapshot
    indexes: tuple[Usable, ...]
    standby: bool
    streaming: int


def take(session: Session, database: str, node: str, run_id: str) -> Usage:
    """The scans of all indexes on one node. Counters of a standby are its own, so each node is asked."""
    taken_at, epoch, standby, streaming = cast(
        tuple[datetime, str, bool, int], session.execute(queries.load("review/usage_epoch")).fetchone()
    )
    rows = session.execute(queries.load("review/index_usage")).fetchall()
    indexes = tuple(Usable.model_validate(dict(zip(Usable.model_fields, row, strict=True))) for row in rows)
    snapshot = Snapshot(
        database=database,
        node=node,
        run_id=run_id,
        taken_at=taken_at,
        reset_at=None,
        epoch=epoch,
        columns=_SCANS,
        entries={str(one.oid): (one.scans,) for one in indexes},
    )
    return Usage(snapshot=snapshot, indexes=indexes, standby=standby, streaming=streaming)


def idle(key: str, now: Snapshot, history: Sequence[Snapshot]) -> tuple[datetime, bool]:
    """Since when snapshots of that node show no scan of the index, and whether one is proven just before that.

    A reset, a crash or an index made anew (which has another oid) ends what is known: there may have been scans of
    which nothing is left.
    """
    since = now.taken_at
    for one in reversed(history):
        if one.epoch != now.epoch or key not in one.entries:
            return since, False
        if one.entries[key] != now.entries[key]:
            return since, True
        since = one.taken_at
    return since, False


def part(usages: Sequence[Usage], histories: Sequence[Sequence[Snapshot]], policy: PerformancePolicy) -> Part:
    """What is unused on all nodes for long enough; when nothing can be said yet, the day on which it can.

    `usages` begins with the primary's, `histories` are theirs in the same order.
    """
    if reason := _misleading(usages):
        return Part(checks=(said(usages[0].snapshot.database, Verdict.SKIP, reason),))
    wait, now = timedelta(days=policy.unused_days), usages[0].snapshot.taken_at
    database = usages[0].snapshot.database
    unused: list[tuple[Usable, datetime]] = []
    waiting: list[datetime] = []
    for index in usages[0].indexes:
        key = str(index.oid)
        if index.needed or index.size_bytes < policy.unused_index_bytes:
            continue
        if any(key not in usage.snapshot.entries for usage in usages):
            waiting.append(now)  # a standby has not replayed its creation yet
            continue
        known = [idle(key, usage.snapshot, history) for usage, history in zip(usages, histories, strict=True)]
        since = max(moment for moment, _ in known)
        if any(scanned and now - moment < wait for moment, scanned in known):
            continue
        if now - since >= wait:
            unused.append((index, since))
        else:
            waiting.append(since)
    return Part(checks=(*_told(database, unused, len(usages)), *_summary(database, unused, waiting, wait)))


def _misleading(usages: Sequence[Usage]) -> str:
    """Why counts of these servers prove nothing; empty when they do."""
    primary, others = usages[0], usages[1:]
    if primary.standby:
        return "the database's dsn leads to a standby; name the primary in its lock_dsn"
    if wrong := [usage.snapshot.node for usage in others if not usage.standby]:
        return f"{wrong[0]} is configured as a standby and is none; correct databases.standbys"
    if primary.streaming > len(others):
        return (
            f"{primary.streaming} standbys stream from the primary and {len(others)} are configured: an index that "
            "only they scan would look unused; name all of them in databases.standbys"
        )
    return ""


def _told(database: str, unused: Sequence[tuple[Usable, datetime]], nodes: int) -> list[CheckResult]:
    found = []
    for index, since in sorted(unused, key=lambda pair: -pair[0].size_bytes):
        statistics = ", but the statistics of its expression may serve the planner" if index.expression else ""
        concurrently = "" if index.partitioned else " CONCURRENTLY"
        servers = "any of {nodes} servers" if nodes > 1 else "the server"
        message = (
            f"no scan since {since:%Y-%m-%d} on {servers.format(nodes=nodes)}, {index.size_bytes} bytes{statistics}; "
            f"to have it back: {index.definition or _LOCKED}"
        )
        found.append(
            CheckResult(
                name="unused index",
                target=f"{database} {index.name}",
                verdict=Verdict.INFO,
                message=message,
                next_command=f"DROP INDEX{concurrently} {index.name}" if index.definition else "",
            )
        )
    return found


def _summary(
    database: str, unused: Sequence[tuple[Usable, datetime]], waiting: Sequence[datetime], wait: timedelta
) -> tuple[CheckResult, ...]:
    if waiting:
        message = (
            f"of {len(waiting)} indexes it is not known yet: reviews of {wait.days} days on all servers must show no "
            f"scan; the first is known on {min(waiting) + wait:%Y-%m-%d}"
        )
        return (said(database, Verdict.SKIP, message),)
    if unused:
        return ()
    return (said(database, Verdict.OK, "every index is scanned, or a constraint stands on it"),)


def said(database: str, verdict: Verdict, message: str) -> CheckResult:
    """What is known of all indexes together."""
    return CheckResult(name="unused indexes", target=database, verdict=verdict, message=message)
