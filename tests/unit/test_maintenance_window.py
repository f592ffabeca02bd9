"""The maintenance window: weekdays, midnight, zones, both clock changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.base.maintenance import Window, opening
from tasks.base.systems import known_systems, load_system

SATURDAY = Window(weekday="saturday", start="00:00", end="04:00")
BERLIN_SPRING = Window(weekday="sunday", start="01:00", end="04:00", timezone="Europe/Berlin")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-21 00:00", True),
        ("2026-11-21 03:59:59", True),
        ("2026-11-21 04:00", False),
        ("2026-11-20 23:59", False),
    ],
)
def test_it_opens_at_its_start_and_is_closed_at_its_end(moment, is_open):
    found = SATURDAY.opening(at(moment), "UTC")
    assert (found is not None) is is_open
    if found:
        assert (found.start, found.end) == (at("2026-11-21 00:00"), at("2026-11-21 04:00"))


def test_one_that_ends_before_it_starts_ends_on_the_next_day():
    window = Window(weekday="friday", start="22:00", end="02:00")
    assert window.opening(at("2026-11-21 01:59"), "UTC").rest_seconds(at("2026-11-21 01:59")) == 60
    assert window.opening(at("2026-11-20 22:00"), "UTC").end == at("2026-11-21 02:00")
    assert window.opening(at("2026-11-21 02:00"), "UTC") is None


def test_a_whole_day_ends_at_24():
    window = Window(weekday="sunday", start="00:00", end="24:00")
    assert window.opening(at("2026-11-22 23:59"), "UTC").end == at("2026-11-23 00:00")


def test_the_clock_of_its_own_zone_counts_and_else_the_systems():
    moment = at("2026-11-21 02:30")
    assert SATURDAY.opening(moment, "Europe/Berlin").end == at("2026-11-21 03:00")
    assert SATURDAY.model_copy(update={"timezone": "America/New_York"}).opening(moment, "Europe/Berlin") is None


def test_a_skipped_hour_makes_it_shorter_and_a_doubled_one_longer():
    spring = BERLIN_SPRING.opening(at("2026-03-29 00:30"), "UTC")
    autumn = BERLIN_SPRING.opening(at("2026-10-25 00:30"), "UTC")
    assert spring.end - spring.start == timedelta(hours=2)
    assert autumn.end - autumn.start == timedelta(hours=4)


def test_a_start_that_the_clock_skips_moves_behind_the_gap_and_an_end_that_comes_twice_is_the_second():
    gap = Window(weekday="sunday", start="02:30", end="05:00", timezone="Europe/Berlin")
    assert gap.opening(at("2026-03-29 01:30"), "UTC").start == at("2026-03-29 01:30")
    assert gap.opening(at("2026-03-29 01:29"), "UTC") is None
    twice = Window(weekday="sunday", start="01:00", end="02:30", timezone="Europe/Berlin")
    assert twice.opening(at("2026-10-25 00:45"), "UTC").end == at("2026-10-25 01:30")


@settings(deadline=None)
@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
    st.integers(0, 23),
    st.integers(1, 23),
)
def test_whenever_it_is_asked_an_opening_holds_the_moment_and_all_of_it_gives_the_same(zone, moment, start, hours):
    now = moment.replace(tzinfo=UTC)
    window = Window(weekday="sunday", start=f"{start:02}:00", end=f"{(start + hours) % 24:02}:00")
    found = window.opening(now, zone)
    if found is not None:
        assert found.start <= now < found.end
        assert window.opening(found.start, zone) == found
        assert window.opening(found.end - timedelta(seconds=1), zone) == found
        assert abs((found.end - found.start) - timedelta(hours=hours)) <= timedelta(hours=1)


@pytest.mark.parametrize("wrong", [1320, "25:00", "4:00", "04:60", None])
def test_a_time_without_quotes_or_out_of_range_is_refused_with_what_to_write(wrong):
    with pytest.raises(ValidationError, match="write it in quotes"):
        Window(weekday="sunday", start=wrong, end="04:00")


@pytest.mark.parametrize("name", known_systems())
def test_every_schedule_that_maintains_without_its_own_minutes_falls_into_a_window(name):
    from tests.unit.test_schedules import year_of

    system = load_system(name)
    for schedule in system.schedules:
        if schedule.flow == "database_maintenance" and schedule.cron and "minutes" not in schedule.parameters:
            for moment in year_of(schedule.cron, schedule.timezone or system.timezone):
                assert opening(system.maintenance.windows, moment.astimezone(UTC), system.timezone), moment
