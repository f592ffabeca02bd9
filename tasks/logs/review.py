"""What the logs add to a performance review: logged statements, waits for locks, and what could not be read."""

from datetime import datetime, timedelta

from tasks.base.attachments import Bar, BarChart, Table
from tasks.base.clock import iso, utc_now
from tasks.base.logs import LogPolicy
from tasks.base.performance import Part
from tasks.base.words import CheckResult, Verdict
from tasks.logs import lock_waits
from tasks.logs.slow_statements import LogReading, slow_statements

HEADER = ("database", "place", "calls", "total_ms", "mean_ms", "max_ms", "first", "last", "statement", "plan")
_NAME, _WAITS = "logged statements", "lock waits in the logs"
_BARS = 10


def review_logs(policy: LogPolicy, system: str, days: float, lock_wait_seconds: float) -> Part:
    """What the logs of the last days hold. Nobody asked is INFO; nothing readable is SKIP.

    A wait for a lock that was longer than `lock_wait_seconds` is WARN.
    """
    until = utc_now()
    since = until - timedelta(days=days)
    if not policy.postgres:
        message = "not asked: the system file names no log files; set logs.postgres, see docs/configuration.md"
        return Part(checks=(_check(system, Verdict.INFO, message),))
    reading = slow_statements(policy, since, until)
    if reading.files == 0:
        if reading.unreadable:
            command = "let this user read them: setfacl -m u:nightshift:r FILE, or add it to the group adm"
            return _unknown(system, f"no log file may be read: {reading.unreadable[0]}", command)
        reason = f"no file of {', '.join(policy.postgres)} was written since {iso(since)}"
        return _unknown(system, reason, "ALTER SYSTEM SET log_destination = 'csvlog' -- with logging_collector = on")
    top = reading.statements[: policy.statements]
    rows = tuple(
        one.model_dump() | {"place": place, "first": iso(one.first), "last": iso(one.last)}
        for place, one in enumerate(top, 1)
    )
    table = Table(name="logged_statements", title="Slow statements in the logs", header=HEADER, rows=rows)
    bars = tuple(Bar(label=one.statement, value=one.total_ms) for one in top[:_BARS])
    chart = BarChart(name="logged_statements", title="Logged statements by total time", unit="ms", bars=bars)
    waits = tuple(one.model_dump() for one in reading.lock_waits[: policy.statements])
    waited = Table(name="logged_lock_waits", title="Waits for locks in the logs", header=lock_waits.HEADER, rows=waits)
    return Part(
        checks=(*_checks(reading, system, since), _waits(reading, system, since, lock_wait_seconds)),
        attachments=(*((chart, table) if top else ()), *((waited,) if waits else ())),
    )


def _waits(reading: LogReading, system: str, since: datetime, lock_wait_seconds: float) -> CheckResult:
    trust = "only waits of deadlock_timeout or longer are logged, and only with log_lock_waits = on"
    if not reading.lock_waits:
        message = f"no wait for a lock in {reading.records} records since {iso(since)}; {trust}"
        command = "ALTER SYSTEM SET log_lock_waits = on -- then SELECT pg_reload_conf()"
        return CheckResult(name=_WAITS, target=system, verdict=Verdict.INFO, message=message, next_command=command)
    worst = reading.lock_waits[0]
    seconds = worst.max_ms / 1000
    message = (
        f"{sum(one.waits for one in reading.lock_waits)} waits for locks since {iso(since)}, the longest "
        f"{seconds:.1f} s for {worst.lock} on {worst.object}, {worst.waits} times; {trust}"
    )
    return CheckResult(
        name=_WAITS,
        target=worst.database or system,
        verdict=Verdict.WARN if seconds > lock_wait_seconds else Verdict.INFO,
        message=message,
        next_command="the log's DETAIL names the process that held the lock; SELECT OID::regclass names a relation",
        value=seconds,
        unit="s",
        threshold=lock_wait_seconds,
    )


def _checks(reading: LogReading, system: str, since: datetime) -> tuple[CheckResult, ...]:
    seconds = sum(one.total_ms for one in reading.statements) / 1000
    said = (
        f"{len(reading.statements)} statements of {seconds:.1f} s in all since {iso(since)}, "
        f"in {reading.records} records of {reading.files} files"
    )
    checks = [_check(system, Verdict.OK, said)]
    if reading.statements:
        worst = reading.statements[0]
        about = f"{worst.calls} calls of {worst.mean_ms:.0f} ms, {worst.max_ms:.0f} ms at most: {worst.statement[:160]}"
        checks.append(_check(worst.database or system, Verdict.INFO, about))
    if reading.unreadable:
        message = f"{len(reading.unreadable)} files were not read, the first is {reading.unreadable[0]}"
        checks.append(_check(system, Verdict.INCOMPLETE, message, "let this user read them, as the others"))
    if reading.broken:
        first = reading.broken_first[0]
        message = f"{reading.broken} records are broken and not in the figures; {first.place}: {first.reason}"
        checks.append(_check(system, Verdict.WARN, message))
    if reading.left_out:
        message = f"{reading.left_out} records of rarer statements are not in the figures: there are too many texts"
        checks.append(_check(system, Verdict.WARN, message))
    return tuple(checks)


def _check(target: str, verdict: Verdict, message: str, next_command: str = "") -> CheckResult:
    return CheckResult(name=_NAME, target=target, verdict=verdict, message=message, next_command=next_command)


def _unknown(system: str, reason: str, command: str) -> Part:
    return Part(checks=(_check(system, Verdict.SKIP, f"not known: {reason}", command),))
