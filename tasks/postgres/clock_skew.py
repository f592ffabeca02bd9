"""How far the server's clock is from this host's: backups are aged by the one and found by the other."""

from datetime import datetime
from typing import cast

from psycopg import Connection

from tasks.base.clock import utc_now
from tasks.base.errors import NightshiftError
from tasks.base.system import Database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.connection import connect


def clock_skew_seconds(connection: Connection[tuple[object, ...]]) -> float:
    """Seconds by which the server's clock is ahead of this host's, negative when behind; good to half a round trip."""
    before = utc_now()
    server = cast(tuple[datetime], connection.execute(queries.load("server_clock")).fetchone())[0]
    after = utc_now()
    return (server - before - (after - before) / 2).total_seconds()


def judge_clock(target: str, skew_seconds: float, limit_seconds: float) -> CheckResult:
    """OK, or WARN when the skew is above the limit in either direction."""
    off = abs(skew_seconds) > limit_seconds
    side = "ahead of" if skew_seconds > 0 else "behind"
    message = (
        f"the server's clock is {abs(skew_seconds):.3g} s {side} this host's, more than the {limit_seconds:g} s "
        "allowed, so ages of backups are wrong by that; look at NTP (chronyc tracking) on both"
    )
    return CheckResult(
        name="clock",
        target=target,
        verdict=Verdict.WARN if off else Verdict.OK,
        message=message if off else "",
        value=round(skew_seconds, 3),
        unit="seconds",
        threshold=limit_seconds,
    )


def check_clock(database: Database, limit_seconds: float) -> CheckResult:
    """Measure and judge in a connection of its own; SKIP with the reason when the server does not answer."""
    try:
        with connect(database, application_name="nightshift:clock") as connection:
            return judge_clock(database.name, clock_skew_seconds(connection), limit_seconds)
    except NightshiftError as error:
        return CheckResult(name="clock", target=database.name, verdict=Verdict.SKIP, message=str(error))
