"""When databases may be maintained, and how much of it: the `maintenance` part of a system file."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from tasks.base.errors import RefusedError
from tasks.base.words import Frozen, LockPolicy, Zone

_CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")
_DAY = timedelta(days=1)


def _clock(value: object) -> object:
    # YAML reads 22:00 without quotes as the number 1320, and 04:00 as a text.
    if not isinstance(value, str) or not _CLOCK.match(value):
        raise ValueError(f"{value!r} is no time of day; write it in quotes, such as '04:00'")
    return value


ClockTime = Annotated[str, BeforeValidator(_clock)]
Share = Annotated[float, Field(ge=0, le=1)]


class Weekday(StrEnum):
    """Days of the week, Monday first."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Opening(Frozen):
    """One time that a window is open: aware moments in UTC, the end excluded."""

    start: datetime
    end: datetime

    def rest_seconds(self, now: datetime) -> float:
        """Seconds until it closes; negative when it has."""
        return (self.end - now).total_seconds()


class Window(Frozen):
    """A weekly maintenance window by the wall clock of its zone."""

    weekday: Weekday = Field(description="The day on which it opens")
    start: ClockTime = Field(description="When it opens, 'HH:MM' in quotes")
    end: ClockTime = Field(description="When it closes, 'HH:MM' in quotes; not later than the start: on the next day")
    timezone: Zone | None = Field(default=None, description="IANA zone of the clock; default: the system's")

    def opening(self, now: datetime, zone: str) -> Opening | None:
        """The opening that holds `now`, or None. `zone` is the system's.

        An hour that comes twice is inside both times. A start or end that the clock skips moves behind the gap, as
        Prefect's cron does it.
        """
        return next((one for one in self._openings(now, zone, 0, 1) if one.start <= now < one.end), None)

    def next_opening(self, now: datetime, zone: str) -> Opening:
        """The first opening that begins after `now`. `zone` is the system's."""
        return min((one for one in self._openings(now, zone, 8, 1) if one.start > now), key=lambda one: one.start)

    def _openings(self, now: datetime, zone: str, ahead_days: int, back_days: int) -> list[Opening]:
        """The openings that begin on a day so many days ahead of now's, or back, by the window's own clock."""
        place = ZoneInfo(self.timezone or zone)
        today = now.astimezone(place).date()
        found = []
        for days in range(-back_days, ahead_days + 1):
            day = today + timedelta(days=days)
            if day.weekday() == list(Weekday).index(self.weekday):
                last = day if self.end > self.start else day + timedelta(days=1)
                found.append(Opening(start=_moment(day, self.start, place, 0), end=_moment(last, self.end, place, 1)))
        return found


def opening(windows: Sequence[Window], now: datetime, zone: str) -> Opening | None:
    """The opening of any of the windows that holds `now`, the one that closes last; None when none is open."""
    found = [one for window in windows if (one := window.opening(now, zone)) is not None]
    return max(found, key=lambda one: one.end, default=None)


def opening_for(system: str, policy: "MaintenancePolicy", now: datetime, zone: str, minutes: int) -> Opening:
    """What a run may use: so many minutes from now on, else the open window. Raises RefusedError outside of one."""
    if minutes:
        return Opening(start=now, end=now + timedelta(minutes=minutes))
    found = opening(policy.windows, now, zone)
    if found is None:
        raise RefusedError(
            f"no maintenance window of '{system}' is open now; wait for it, see its plan with dry_run=true, or give "
            f"this run its time: nightshift run database_maintenance system={system} dry_run=false minutes=60"
        )
    return found


def next_opening(windows: Sequence[Window], now: datetime, zone: str) -> Opening | None:
    """The first opening of any of the windows that begins after `now`; None without windows."""
    return min((one.next_opening(now, zone) for one in windows), key=lambda one: one.start, default=None)


def _moment(day: date, clock: str, zone: ZoneInfo, fold: int) -> datetime:
    """The moment of a wall clock's time; `fold` chooses between the two of an hour that comes twice (PEP 495)."""
    hours, minutes = map(int, clock.split(":"))
    wall = datetime.combine(day, time()) + timedelta(hours=hours, minutes=minutes)
    moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return moment


class MaintenancePolicy(Frozen):
    """What is vacuumed, analyzed and rebuilt, when, and how gently."""

    windows: tuple[Window, ...] = Field(
        default=(), description="When it may run; with none, only by an ad-hoc run that says for how many minutes"
    )
    on_lock: LockPolicy = Field(default=LockPolicy.WAIT, description="When another run holds the database's lock")
    lock_wait_seconds: float = Field(default=3600, gt=0, description="How long 'wait' waits, in seconds")
    connections: int = Field(default=2, ge=1, le=32, description="Tables vacuumed at a time")
    freeze_age_share: float = Field(
        default=0.5, gt=0, le=2, description="Frozen when older than this share of autovacuum_freeze_max_age"
    )
    dead_share: Share = Field(default=0.05, description="Vacuumed when this share of the rows is dead")
    dead_rows: int = Field(default=1000, ge=1, description="… and at least so many rows are")
    changed_share: Share = Field(default=0.05, description="Analyzed when this share of the rows changed since")
    changed_rows: int = Field(default=1000, ge=1, description="… and at least so many rows did")
    index_waste_share: float = Field(
        default=0.3, gt=0, lt=1, description="An index is rebuilt when this share of it would be free after a rebuild"
    )
    index_bytes: int = Field(default=10 * 1024**2, ge=0, description="Smaller indexes are left alone, in bytes")
    table_waste_share: float = Field(
        default=0.5, gt=0, lt=1, description="A table is reported when this share of it is free or dead"
    )
    table_bytes: int = Field(default=100 * 1024**2, ge=0, description="Smaller tables are not measured, in bytes")
    inspection_seconds: float = Field(
        default=600, gt=0, description="Time for the inspection; the most suspicious are measured first, in seconds"
    )
    held_back_transactions: int = Field(
        default=1_000_000,
        ge=0,
        description="What holds back vacuum is told when its snapshot is older, in transactions",
    )
    vacuum_cost_delay_ms: float = Field(default=0, ge=0, le=100, description="vacuum_cost_delay, in milliseconds")
    vacuum_cost_limit: int = Field(default=200, ge=1, le=10000, description="vacuum_cost_limit")
    parallel_workers: int = Field(default=2, ge=0, le=32, description="Workers for the indexes of one table")
    buffer_usage_limit: str = Field(
        default="2MB", pattern=r"^(0|\d+(kB|MB|GB))$", description="Shared buffers that a vacuum uses (16+)"
    )
    old_snapshot_seconds: float = Field(
        default=600, gt=0, description="No rebuild begins, or goes on, beside an older transaction, in seconds"
    )
    blocked_seconds: float = Field(
        default=0.5, gt=0, description="A rebuild that another session waits for longer than this is ended, in seconds"
    )
    replica_lag_bytes: int = Field(
        default=1024**3, ge=1, description="No rebuild while a replica or a slot is further behind, in bytes"
    )
    disk_bytes: int | None = Field(
        default=None, ge=1, description="Size of the database server's disk, when it is not a disk of this host"
    )
