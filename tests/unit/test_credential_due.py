"""When a credential is due: whole days of a zone's calendar, over ends of months and clock changes."""

from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.credentials import Credential
from tasks.credentials.ages import State, age_of

ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "Australia/Lord_Howe", "America/Santiago")


def age_after(rotated, zone, **limits):
    """The age of a credential of which the journal says that it was rotated then."""
    one = Credential.model_validate({"name": "key", "kind": "service", **limits})
    return age_of(one, SimpleNamespace(rotated_at=lambda name: rotated), zone)


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    first=st.dates(date(2014, 1, 1), date(2024, 1, 1)).map(lambda day: day.replace(day=1)),
    day=st.integers(1, 28),
    hour=st.times(),
    months_and_limit=st.sampled_from([(1, 31), (3, 92)]),
    late=st.timedeltas(timedelta(), timedelta(hours=3)),
    stated=st.booleans(),
)
def test_what_is_rotated_on_the_same_day_of_every_month_or_quarter_is_due_then_and_never_overdue(
    zone, first, day, hour, months_and_limit, late, stated
):
    months, limit = months_and_limit

    def run(number):
        month = first.month - 1 + number * months
        return datetime.combine(date(first.year + month // 12, month % 12 + 1, day), hour, zone)

    for number in range(5):
        rotated, following = run(number).astimezone(UTC) + late, run(number + 1).astimezone(UTC)
        if stated or rotated.astimezone(zone).date() != run(number).date():
            rotated = datetime.combine(run(number).date(), time(), zone).astimezone(UTC)
        age = age_after(rotated, zone, max_age_days=limit, lead_days=7)
        assert age.state(following) is State.DUE, (rotated, following)
        assert age.state(rotated) is State.FRESH
        # A day later than the limit, whatever the clocks did in between.
        over = datetime.combine(rotated.astimezone(zone).date() + timedelta(days=limit + 1), time(), zone)
        assert age.state(over.astimezone(UTC)) is State.OVERDUE
        assert age.state(over.astimezone(UTC) - timedelta(seconds=1)) is State.DUE


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    rotated=st.datetimes(datetime(2014, 1, 1), datetime(2024, 1, 1), timezones=st.just(UTC)),
    limit=st.integers(1, 400),
    lead=st.integers(0, 100),
    look=st.integers(0, 500),
    hour=st.times(),
)
def test_nothing_grows_overdue_between_two_looks_that_lie_no_further_apart_than_its_lead(
    zone, rotated, limit, lead, look, hour
):
    age = age_after(rotated, zone, max_age_days=limit, lead_days=lead)
    begun = rotated.astimezone(zone).date() + timedelta(days=look)
    this, following = (datetime.combine(begun + timedelta(days=days), hour, zone).astimezone(UTC) for days in (0, lead))
    if age.state(following) is State.OVERDUE:
        assert age.state(this) is not State.FRESH
