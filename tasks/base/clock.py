"""The only place that reads the clock. Aware UTC inside, zones at the edges, durations monotonic."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

STAMP = "%Y%m%dT%H%M%SZ"


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def stopwatch() -> Callable[[], float]:
    """Return a function that tells the seconds since this call, by the monotonic clock."""
    start = time.monotonic()
    return lambda: time.monotonic() - start


def stamp(moment: datetime) -> str:
    """The moment as it stands in repository keys, e.g. 20261121T020000Z."""
    return moment.astimezone(UTC).strftime(STAMP)


def parse_stamp(text: str) -> datetime:
    """The moment of a stamp, or of a backup id that begins with one. Raises ValueError."""
    return datetime.strptime(text[:16], STAMP).replace(tzinfo=UTC)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC to the second, as it stands in CSV and messages."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def new_run_id() -> str:
    """A fresh id of a run, eight hexadecimal digits; it stands in keys, child environments and lock names."""
    return secrets.token_hex(4)
