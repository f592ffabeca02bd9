"""The times that lines begin with, as seconds since 1970: ISO 8601, RFC 3164, and nginx's own."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# 2026-11-21T02:00:00.123+00:00, also with a blank, a comma, slashes (nginx's error log), without a zone, in brackets.
_ISO = re.compile(
    r"\[?(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?"
    r"(?:\]|(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d)\b\]?))?[ :|]*"
)
# Nov 21 02:00:00, the year is not told.
_RFC3164 = re.compile(r"(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) ")
# 21/Nov/2026:02:00:00 +0000
_NGINX = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})$")
_YEAR = timedelta(days=1)


def leading_time(line: str, zone: str, latest: datetime) -> tuple[float, str] | None:
    """The time that the line begins with and what stands behind it; None when it begins with none.

    `latest` is the last moment that a line may be of: a time without a year is of the last year that fits.
    """
    found = _ISO.match(line)
    if found is not None:
        seconds = _iso(*found.groups(), zone)
    else:
        found = _RFC3164.match(line)
        if found is None:
            return None
        seconds = _without_year(*found.groups(), zone, latest.year, (latest + _YEAR).timestamp())
    return None if seconds is None else (seconds, line[found.end() :])


def seconds_of(text: str, zone: str) -> float | None:
    """The moment of a text that is nothing but a time: nginx's time_local, ISO 8601, or seconds since 1970."""
    found = _NGINX.match(text)
    if found is not None:
        day, month, year, hour, minute, second, offset = found.groups()
        if month not in _MONTHS:
            return None
        return _iso(year, f"{_MONTHS.index(month) + 1}", day, hour, minute, second, offset, zone)
    found = _ISO.match(text)
    if found is not None:
        return _iso(*found.groups(), zone)
    try:
        seconds = float(text)
    except ValueError:
        return None
    # Milliseconds are as usual as seconds.
    seconds = seconds / 1000 if seconds > 1e11 else seconds
    return seconds if 0 < seconds < 1e11 else None


def _iso(year: str, month: str, day: str, hour: str, minute: str, second: str, *where: str | None) -> float | None:
    """A moment by its parts; `where` is its offset, None where it tells none, and the zone of those."""
    begin = _minute(year, month, day, hour, minute, *where)
    # A leap second counts as the one before.
    return None if begin is None else begin + min(59, int(second))


@lru_cache(maxsize=4096)
def _minute(year: str, month: str, day: str, hour: str, minute: str, offset: str | None, zone: str) -> float | None:
    """When that minute begins: a log has many lines of one, and no zone changes its offset inside of one."""
    try:
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute))  # noqa: DTZ001
        if offset is None:
            return wall.replace(tzinfo=ZoneInfo(zone)).timestamp()
        return wall.replace(tzinfo=UTC).timestamp() - _offset_seconds(offset)
    except (ValueError, OverflowError):
        return None


def _offset_seconds(offset: str) -> int:
    if offset[0] not in "+-":
        return 0
    digits = offset[1:].replace(":", "")
    return (1 if offset[0] == "+" else -1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


@lru_cache(maxsize=4096)
def _without_year(
    month: str, day: str, hour: str, minute: str, second: str, zone: str, year: int, latest: float
) -> float | None:
    if month not in _MONTHS:
        return None
    for tried in (year + 1, year, year - 1, year - 2, year - 3, year - 4):
        seconds = _iso(str(tried), str(_MONTHS.index(month) + 1), day, hour, minute, second, None, zone)
        if seconds is not None and seconds <= latest:
            return seconds
    return None
