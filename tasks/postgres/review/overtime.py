"""What the server counted from review to review, as a table and as pictures."""

from collections.abc import Sequence
from itertools import pairwise

from tasks.base.attachments import Attachment, Limit, Line, LineChart, Row, Table
from tasks.base.clock import iso
from tasks.base.performance import PerformancePolicy
from tasks.postgres.review.deltas import Period, between
from tasks.postgres.review.snapshots import Snapshot

HEADER = (
    "database", "start", "end", "cache_hit_share", "blocks_read", "temp_files", "temp_bytes", "deadlocks",
    "checkpoints_timed", "checkpoints_forced", "commits", "rollbacks", "sessions", "connections", "max_connections",
)  # fmt: skip
_COUNTED = ("blocks_read", "temp_files", "temp_bytes", "deadlocks", "commits", "rollbacks", "sessions")


def attachments(now: Snapshot, history: Sequence[Snapshot], policy: PerformancePolicy) -> tuple[Attachment, ...]:
    """The table activity.csv, one row from each review to the next; pictures when there are two rows or more."""
    steps = [(after, between([before, after])) for before, after in pairwise([*history, now])]
    rows = tuple(_row(after, period) for after, period in steps)
    title = "From review to review"
    table = Table(name="activity", title=title, header=HEADER, rows=rows, units={"cache_hit_share": "share"})
    return (table, *_charts(now.database, steps, rows, policy)) if len(rows) > 1 else (table,)


def _row(after: Snapshot, period: Period) -> Row:
    database, checkpoints = period.counts["database"], period.counts["checkpoints"]
    needed = database["blocks_hit"] + database["blocks_read"]
    return {
        "database": after.database,
        "start": iso(period.start),
        "end": iso(period.end),
        "cache_hit_share": round(database["blocks_hit"] / needed, 4) if needed else None,
        **{name: round(database[name]) for name in _COUNTED},
        "checkpoints_timed": round(checkpoints["timed"]),
        "checkpoints_forced": round(checkpoints["forced"]),
        "connections": round(after.gauges["connections"]),
        "max_connections": round(after.gauges["max_connections"]),
    }


def _charts(
    database: str, steps: Sequence[tuple[Snapshot, Period]], rows: Sequence[Row], policy: PerformancePolicy
) -> tuple[LineChart, ...]:
    """A point stands at the end of its step. Counts are drawn by the day, as steps are of different length."""
    ends = [period.end for _, period in steps]
    days = [max(period.days, 1 / 1440) for _, period in steps]

    def line(name: str, column: str, *, by_day: bool) -> Line:
        values = [float("nan") if row[column] is None else float(row[column]) for row in rows]
        return Line(
            name=name,
            at=ends,
            values=[value / day for value, day in zip(values, days, strict=True)] if by_day else values,
        )

    most = rows[-1]["max_connections"]
    return (
        LineChart(
            name=f"{database[:40]}-cache-hit",
            title=f"Blocks found in shared buffers, {database}",
            unit="share",
            lines=(line("cache hit", "cache_hit_share", by_day=False),),
            limits=(Limit(name="warned below", value=policy.cache_hit_share),),
        ),
        LineChart(
            name=f"{database[:40]}-connections",
            title=f"Connections of the server at each review, {database}",
            unit="",
            lines=(line("connections", "connections", by_day=False),),
            limits=(Limit(name="warned from", value=policy.connections_share * most),),
        ),
        LineChart(
            name=f"{database[:40]}-checkpoints",
            title=f"Checkpoints a day, {database}",
            unit="",
            lines=(
                line("by time", "checkpoints_timed", by_day=True),
                line("forced", "checkpoints_forced", by_day=True),
            ),
        ),
        LineChart(
            name=f"{database[:40]}-temporary-files",
            title=f"Temporary files a day, {database}",
            unit="bytes",
            lines=(line("temporary files", "temp_bytes", by_day=True),),
        ),
    )
