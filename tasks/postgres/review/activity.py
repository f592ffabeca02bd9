"""Cache, checkpoints, temporary files, deadlocks and connections of a period, from a database's own counters."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from psycopg import Connection

from tasks.base.clock import iso
from tasks.base.performance import Part, PerformancePolicy
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.review.deltas import SINCE, Period, periods, since_reset
from tasks.postgres.review.snapshots import PRIMARY, Snapshot

Session = Connection[tuple[object, ...]]
_DATABASE = (
    "commits", "rollbacks", "blocks_hit", "blocks_read", "temp_files", "temp_bytes", "deadlocks", "sessions",
    "abandoned", "fatal", "killed",
)  # fmt: skip
_CHECKPOINTS = ("timed", "forced", "write_ms", "sync_ms", "blocks_written")
_GAUGES = ("connections", "max_connections", "max_wal_bytes", "lock_waits")
# Fewer blocks or checkpoints than this make no share.
_TELLING_BLOCKS, _TELLING_CHECKPOINTS = 10_000, 5


def take(session: Session, database: str, run_id: str) -> Snapshot:
    """The counters now. The database's and the checkpoints' are reset apart, so each says since when it counts."""
    version = session.info.server_version
    row = cast(tuple[float, ...], session.execute(queries.load("review/activity", version)).fetchone())
    counted = dict(zip(("taken_at", "database_since", *_DATABASE, "checkpoints_since", *_CHECKPOINTS, *_GAUGES), row,
                       strict=True))  # fmt: skip
    columns = (SINCE, *_DATABASE, *_CHECKPOINTS)

    def entry(since: str, names: Sequence[str]) -> tuple[float | None, ...]:
        return (counted[since], *(counted[name] if name in names else None for name in columns[1:]))

    return Snapshot(
        database=database,
        node=PRIMARY,
        run_id=run_id,
        taken_at=cast(datetime, counted["taken_at"]),
        reset_at=None,
        epoch="",
        columns=columns,
        entries={
            "database": entry("database_since", _DATABASE),
            "checkpoints": entry("checkpoints_since", _CHECKPOINTS),
        },
        gauges={name: counted[name] for name in _GAUGES},
    )


def part(now: Snapshot, history: Sequence[Snapshot], policy: PerformancePolicy, days: float) -> Part:
    """One check for each of the figures; without a former snapshot they are of the time since the reset."""
    period = periods(history, now, days)[0] if history else since_reset(now)
    counts = {name: value for one in period.counts.values() for name, value in one.items() if value}
    covers = f"from {iso(period.start)} to {iso(period.end)}" if history else "since its counters were reset"
    highest = max((one.gauges["connections"] for one in history if one.taken_at >= period.start), default=0.0)
    checks = (
        _cache(counts, policy, covers),
        _checkpoints(counts, policy, covers, now.gauges["max_wal_bytes"]),
        _temporary(counts, policy, covers, period if history else None),
        _deadlocks(counts, covers),
        _connections(now.gauges, highest, policy),
        _sessions(counts, covers),
    )
    return Part(checks=tuple(check.model_copy(update={"target": now.database}) for check in checks))


def _cache(counts: dict[str, float], policy: PerformancePolicy, covers: str) -> CheckResult:
    hit, read = counts.get("blocks_hit", 0.0), counts.get("blocks_read", 0.0)
    if hit + read < _TELLING_BLOCKS:
        message = f"{hit + read:.0f} blocks were needed {covers}, too few for a share"
        return _check("cache hit", Verdict.INFO, message)
    share = hit / (hit + read)
    found = _check(
        "cache hit",
        Verdict.OK if share >= policy.cache_hit_share else Verdict.WARN,
        f"{share:.1%} of {hit + read:.0f} blocks were in shared buffers {covers}",
        "look at the list 'io' first, then at shared_buffers",
    )
    return found.model_copy(update={"value": round(share, 4), "unit": "share", "threshold": policy.cache_hit_share})


def _checkpoints(counts: dict[str, float], policy: PerformancePolicy, covers: str, wal_bytes: float) -> CheckResult:
    timed, forced = counts.get("timed", 0.0), counts.get("forced", 0.0)
    message = f"{timed:.0f} checkpoints by time and {forced:.0f} forced {covers}"
    if timed + forced < _TELLING_CHECKPOINTS or forced / (timed + forced) <= policy.forced_checkpoints_share:
        return _check("checkpoints", Verdict.OK, message)
    return _check(
        "checkpoints",
        Verdict.WARN,
        f"{message}: each forced one writes everything at once (manual 28.5)",
        f"ALTER SYSTEM SET max_wal_size = '{2 * wal_bytes / 1024**2:.0f}MB'",
    )


def _temporary(counts: dict[str, float], policy: PerformancePolicy, covers: str, period: Period | None) -> CheckResult:
    files, size = counts.get("temp_files", 0.0), counts.get("temp_bytes", 0.0)
    message = f"{files:.0f} temporary files of {size:.0f} bytes {covers}"
    # A period of minutes is not taken for a rate of a day.
    if period is None or size / max(period.days, 1.0) <= policy.temp_bytes_per_day:
        return _check("temporary files", Verdict.OK if period else Verdict.INFO, message)
    command = "look at the list 'temp', and SET work_mem for those statements only"
    return _check("temporary files", Verdict.INFO, f"{message}: sorts and hashes that work_mem does not hold", command)


def _deadlocks(counts: dict[str, float], covers: str) -> CheckResult:
    found = counts.get("deadlocks", 0.0)
    if not found:
        return _check("deadlocks", Verdict.OK, f"none {covers}")
    return _check(
        "deadlocks",
        Verdict.WARN,
        f"{found:.0f} {covers}: each ended a transaction",
        "the server's log names both sides",
    )


def _connections(gauges: dict[str, float], highest: float, policy: PerformancePolicy) -> CheckResult:
    now, most = gauges["connections"], gauges["max_connections"]
    found = _check(
        "connections",
        Verdict.OK if max(now, highest) / most < policy.connections_share else Verdict.WARN,
        f"{now:.0f} of {most:.0f} are in use now, at most {max(now, highest):.0f} were at the reviews of the period",
        "SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC",
    )
    value = round(max(now, highest) / most, 4)
    return found.model_copy(update={"value": value, "unit": "share", "threshold": policy.connections_share})


def _sessions(counts: dict[str, float], covers: str) -> CheckResult:
    ended = {name: counts.get(name, 0.0) for name in ("abandoned", "fatal", "killed")}
    bad = ", ".join(f"{value:.0f} {name}" for name, value in ended.items() if value)
    message = f"{counts.get('sessions', 0.0):.0f} {covers}" + (f", of them ended badly: {bad}" if bad else "")
    return _check("sessions", Verdict.INFO if bad else Verdict.OK, message)


def _check(name: str, verdict: Verdict, message: str, command: str = "") -> CheckResult:
    """A check of the database that is named later; the command is for what is not well."""
    return CheckResult(
        name=name,
        target="",
        verdict=verdict,
        message=message,
        next_command="" if verdict is Verdict.OK else command,
    )
