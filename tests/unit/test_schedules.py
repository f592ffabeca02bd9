"""Every schedule of every system file fires at its runbook's times over a whole year, both clock changes included."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule

from tasks.base.systems import known_systems, load_system

YEAR = 2026
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# What the runbooks say; where one names no time, what its system file chose and says so.
RUNBOOK = {
    "demo database_backup nightly": "daily 02:00",
    "demo backup_verification evening": "daily 18:00",
    "demo restore_test weekly": "sunday 05:00",
    "demo restore_test monthly": "day 1 06:00",
    "demo backup_retention weekly": "sunday 07:00",
    "demo database_maintenance weekly": "saturday 00:05",
    "demo performance_review weekly": "monday 09:00",
    "demo security_check daily": "daily 08:30",
    "demo security_scan weekly": "monday 03:00",
    "demo security_audit monthly": "day 1 04:00",
    "demo access_review monthly": "day 3 06:00",
    "demo access_review reminder": "monday 09:15",
    "demo credential_rotation monthly": "day 1 04:15",
    "demo capacity_sample daily": "daily 05:30",
    "demo capacity_report weekly": "monday 09:30",
    "demo capacity_report monthly": "day 1 09:30",
    "demo capacity_report quarterly": "quarter day 2 10:30",
    "demo cost_review monthly": "day 1 09:45",
    "fraiseql database_backup daily": "daily 01:00",
    "fraiseql backup_verification evening": "daily 18:00",
    "fraiseql restore_test monthly": "day 1 05:00",
    "fraiseql backup_retention daily": "daily 07:00",
    "fraiseql database_maintenance weekly": "sunday 03:05",
    "fraiseql performance_review weekly": "monday 08:00",
    "fraiseql performance_review daily": "daily 06:30",
    "fraiseql security_check morning": "daily 09:00",
    "fraiseql security_scan weekly": "monday 02:00",
    "fraiseql security_audit monthly": "day 2 03:00",
    "fraiseql access_review monthly": "day 3 08:00",
    "fraiseql access_review reminder": "monday 08:30",
    "fraiseql credential_rotation monthly": "day 2 03:30",
    "fraiseql credential_rotation weekly": "monday 08:45",
    "fraiseql capacity_sample daily": "daily 05:30",
    "fraiseql capacity_report monthly": "day 2 08:00",
    "fraiseql capacity_report daily": "daily 07:15",
    "myproject-nexa database_backup daily": "daily 02:00",
    "myproject-nexa database_backup before-maintenance": "friday 00:00",
    "myproject-nexa backup_verification morning": "daily 08:00",
    "myproject-nexa restore_test monthly": "day 1 06:00",
    "myproject-nexa backup_retention weekly": "sunday 07:00",
    "myproject-nexa database_maintenance weekly": "saturday 00:05",
    "myproject-nexa performance_review weekly": "monday 07:00",
    "myproject-nexa security_check daily": "daily 08:30",
    "myproject-nexa security_audit weekly": "monday 06:00",
    "myproject-nexa access_review monthly": "day 3 09:00",
    "myproject-nexa access_review reminder": "monday 09:00",
    "myproject-nexa credential_rotation quarterly": "quarter day 2 09:00",
    "myproject-nexa credential_rotation weekly": "monday 09:45",
    "myproject-nexa capacity_sample daily": "daily 05:30",
    "myproject-nexa capacity_report weekly": "monday 07:30",
    "myproject-nexa capacity_report quarterly": "quarter day 2 08:30",
    "nexus-cos database_backup nightly": "daily 01:00",
    "nexus-cos backup_verification morning": "daily 08:00",
    "nexus-cos backup_verification end-of-day": "daily 17:00",
    "nexus-cos restore_test weekly": "saturday 04:00",
    "nexus-cos backup_retention weekly": "sunday 06:00",
    "nexus-cos performance_review weekly": "monday 07:00",
    "nexus-cos performance_review monthly": "day 1 07:00",
    "nexus-cos security_check morning": "daily 08:30",
    "nexus-cos security_audit monthly": "day 2 06:00",
    "nexus-cos access_review monthly": "day 3 09:00",
    "nexus-cos access_review reminder": "monday 09:00",
    "nexus-cos credential_rotation monthly": "day 2 06:30",
    "nexus-cos credential_rotation weekly": "monday 09:30",
    "nexus-cos capacity_sample daily": "daily 05:30",
    "nexus-cos capacity_report weekly": "monday 07:30",
    "nexus-cos capacity_report monthly": "day 1 08:30",
    "nexus-cos cost_review weekly": "monday 07:45",
    "nexus-cos cost_review monthly": "day 1 08:45",
    "nexus-platform database_backup nightly": "daily 02:00",
    "nexus-platform backup_verification weekly": "monday 09:00",
    "nexus-platform restore_test monthly": "day 1 05:00",
    "nexus-platform database_maintenance weekly": "sunday 03:05",
    "nexus-platform performance_review weekly": "monday 08:00",
    "nexus-platform performance_review monthly": "day 1 08:00",
    "nexus-platform security_check daily": "daily 08:30",
    "nexus-platform security_audit monthly": "day 2 06:00",
    "nexus-platform access_review monthly": "day 3 09:00",
    "nexus-platform access_review reminder": "monday 09:30",
    "nexus-platform credential_rotation quarterly": "quarter day 2 09:00",
    "nexus-platform credential_rotation weekly": "monday 09:15",
    "nexus-platform capacity_sample daily": "daily 05:30",
    "nexus-platform capacity_report weekly": "monday 08:30",
    "nexus-platform capacity_report monthly": "day 1 08:30",
    "operations-manual database_backup nightly": "daily 02:00",
    "operations-manual backup_verification morning": "daily 07:30",
    "operations-manual backup_verification evening": "daily 18:00",
    "operations-manual restore_test weekly": "sunday 04:00",
    "operations-manual performance_review daily": "daily 06:30",
    "operations-manual performance_review weekly": "monday 09:00",
    "operations-manual performance_review monthly": "day 1 09:00",
    "operations-manual security_check daily": "daily 08:30",
    "operations-manual security_scan weekly": "monday 06:00",
    "operations-manual security_audit monthly": "day 2 06:00",
    "operations-manual access_review monthly": "day 3 08:00",
    "operations-manual access_review reminder": "monday 09:15",
    "operations-manual credential_rotation monthly": "day 2 06:30",
    "operations-manual credential_rotation weekly": "monday 09:45",
    "operations-manual capacity_sample daily": "daily 05:30",
    "operations-manual capacity_report daily": "daily 07:15",
    "operations-manual capacity_report weekly": "monday 09:30",
    "operations-manual capacity_report monthly": "day 1 09:30",
    "operations-manual cost_review monthly": "day 1 09:45",
}
SCHEDULES = {
    f"{name} {schedule.flow} {schedule.slug}": schedule
    for name in known_systems()
    for schedule in load_system(name).schedules
    if schedule.cron
}
# Both change their clocks at night, on different days.
ZONES = ("UTC", "Europe/Berlin", "America/New_York")
CLOCK_CHANGES = {
    "Europe/Berlin": (datetime(YEAR, 3, 29, tzinfo=UTC), datetime(YEAR, 10, 25, tzinfo=UTC)),
    "America/New_York": (datetime(YEAR, 3, 8, tzinfo=UTC), datetime(YEAR, 11, 1, tzinfo=UTC)),
}


def fires(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Every time at which Prefect's own schedule fires between the two, in the zone's local time."""
    found = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(n=1000, start=start, end=end))
    return [moment.astimezone(ZoneInfo(zone)) for moment in found]


@cache
def year_of(cron: str, zone: str) -> list[datetime]:
    """Every time of the year."""
    local = ZoneInfo(zone)
    return fires(cron, zone, datetime(YEAR, 1, 1, tzinfo=local), datetime(YEAR, 12, 31, 23, 59, tzinfo=local))


def days_of(rule: str) -> set:
    """The dates of the year on which 'daily', a weekday, 'day N' or 'quarter day N' falls."""
    year = [datetime(YEAR, 1, 1) + timedelta(days=number) for number in range(365)]
    if rule == "daily":
        return {day.date() for day in year}
    if rule in WEEKDAYS:
        return {day.date() for day in year if day.weekday() == WEEKDAYS.index(rule)}
    number = int(rule.rpartition(" ")[2])
    months = (1, 4, 7, 10) if rule.startswith("quarter") else range(1, 13)
    return {day.date() for day in year if day.day == number and day.month in months}


def test_every_schedule_is_held_against_its_runbook():
    assert set(SCHEDULES) == set(RUNBOOK)


@pytest.mark.parametrize("name", RUNBOOK)
@pytest.mark.parametrize("zone", ZONES)
def test_it_fires_once_on_each_day_of_the_runbook_and_at_its_hour(name, zone):
    rule, clock = RUNBOOK[name].rsplit(" ", 1)
    found = year_of(SCHEDULES[name].cron, zone)
    assert Counter(moment.date() for moment in found) == Counter(days_of(rule))
    at_another_hour = [moment for moment in found if f"{moment:%H:%M}" != clock]
    # Only an hour that the clock skips may be shifted, once a year, and by no more than that hour.
    assert all(skipped(moment.date(), clock, zone) for moment in at_another_hour)
    assert all(abs(moment.hour - int(clock[:2])) == 1 for moment in at_another_hour)
    assert len(at_another_hour) <= 1


def skipped(day, clock: str, zone: str) -> bool:
    """True when that wall time does not exist on that day."""
    wall = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=ZoneInfo(zone))
    return wall.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall.replace(tzinfo=None)


@pytest.mark.parametrize("name", known_systems())
def test_no_credential_grows_too_old_between_two_looks(name):
    looks = sorted(
        moment.date()
        for key, schedule in SCHEDULES.items()
        if key.startswith(f"{name} credential_rotation ")
        for moment in year_of(schedule.cron, schedule.timezone or "UTC")
    )
    apart = max((later - earlier).days for earlier, later in pairwise(looks))
    for one in load_system(name).credentials.entries:
        assert one.lead_days >= apart, one.name
        assert one.max_age_days is None or one.max_age_days > one.lead_days, f"{one.name} would be due for ever"


def test_backups_of_a_runbook_that_says_utc_stay_there_when_the_system_moves():
    for slug in ("daily", "before-maintenance"):
        assert SCHEDULES[f"myproject-nexa database_backup {slug}"].timezone == "UTC"


@pytest.mark.parametrize("cron", sorted({one.cron for one in SCHEDULES.values()} | {"30 1 * * *", "30 2 * * *"}))
@pytest.mark.parametrize("zone", CLOCK_CHANGES)
def test_asking_again_in_the_night_of_a_clock_change_neither_adds_nor_loses_a_time(cron, zone):
    whole = year_of(cron, zone)
    assert len({moment.astimezone(UTC) for moment in whole}) == len({moment.date() for moment in whole})
    for change in CLOCK_CHANGES[zone]:
        until = change + timedelta(days=2)
        for hours in range(0, 10, 3):
            asked = change + timedelta(hours=hours)
            assert fires(cron, zone, asked, until) == [moment for moment in whole if asked <= moment <= until]
