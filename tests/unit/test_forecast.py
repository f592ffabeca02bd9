"""Forecasts: what they promise for any series, and right verdicts for the histories that mislead."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.base.capacity import CapacityPolicy
from tasks.capacity.forecast import forecast
from tasks.capacity.histories import histories
from tasks.capacity.outlook import Course, outlook
from tasks.capacity.thresholds import FARTHEST_DAYS, days_to
from tests.unit.capacity import GIB, TODAY, grid, noise, rows_table, table

VALUES = st.one_of(st.floats(0, 1e15, allow_nan=False), st.just(float("nan")), st.integers(0, 20).map(float))
SERIES = st.integers(8, 60).flatmap(lambda days: arrays(np.float64, (3, days), elements=VALUES))
EVERY = {"max_examples": 40, "deadline": None}


def verdict(name="filesystem__/var", days=400, **series):
    """The outlook of one series among those given."""
    found = outlook(grid(days, **series), CapacityPolicy(), 90)
    kind, _, resource = name.partition("__")
    place = np.flatnonzero((found.grid.kinds == kind) & (found.grid.resources == resource))[0]
    return found, place


@settings(**EVERY)
@given(SERIES, st.sampled_from([2.0**-10, 2.0, 2.0**10]))
def test_forecasts_scale_with_the_unit(used, scale):
    one, other = forecast(used), forecast(used * scale)
    for horizon in (0, 30, 90, 180):
        for ours, scaled in zip(one.at(horizon), other.at(horizon), strict=True):
            np.testing.assert_allclose(scaled, ours * scale, rtol=1e-9, atol=1e-6 * scale)
    np.testing.assert_array_equal(one.covered, other.covered)


@settings(**EVERY)
@given(SERIES)
def test_the_band_holds_the_point_and_nothing_falls_below_nothing(used):
    made = forecast(used)
    for horizon in (1, 30, 90, 180, 3000):
        point, low, high = made.at(horizon)
        known = np.isfinite(point)
        assert (low[known] <= point[known]).all()
        assert (point[known] <= high[known]).all()
        assert (low[known] >= 0).all()
    slope, low, high = made.growth()
    assert ((low <= slope) & (slope <= high) | np.isnan(slope)).all()


@settings(**EVERY)
@given(SERIES, st.floats(0, 1e15))
def test_days_to_a_threshold_are_never_negative_or_absurd_and_in_order(used, threshold):
    newest = np.nan_to_num(np.array([row[np.isfinite(row)][-1:].sum() for row in used]))
    middle, low, high = days_to(forecast(used), newest, np.full(len(used), threshold))
    for days in (middle, low, high):
        assert ((days >= 0) & (days <= FARTHEST_DAYS) | np.isnan(days)).all()
    both = np.isfinite(middle) & np.isfinite(high)
    assert (low[np.isfinite(middle)] <= middle[np.isfinite(middle)]).all()
    assert (middle[both] <= high[both]).all()
    assert not (np.isnan(middle) & np.isfinite(high)).any()


@settings(**EVERY)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(random):
    rows = table(table__orders=np.arange(40) + noise(40, 1), database__shop=[5.0] * 30).to_pylist()
    twice = [*rows, *[{**row, "used": row["used"] + 7, "at": row["at"] + timedelta(hours=1)} for row in rows[:9]]]
    mixed = list(twice)
    random.shuffle(mixed)
    one, other = (histories(rows_table([tuple(row.values()) for row in each]), TODAY, 60) for each in (twice, mixed))
    np.testing.assert_array_equal(one.used, other.used)
    assert list(one.resources) == list(other.resources) == ["shop", "orders"]


def test_of_two_samples_of_a_day_the_last_by_its_time_counts_and_a_later_day_is_left_out_and_counted():
    row = table(filesystem__var=[1.0]).to_pylist()[0]
    later = {**row, "at": row["at"] + timedelta(hours=5), "used": 3.0}
    future = {**row, "day": TODAY + timedelta(days=400), "used": 9.0}
    found = histories(rows_table([tuple(one.values()) for one in (later, row, future)]), TODAY, 10)
    assert found.used[0, -1] == 3
    assert found.future == 1
    assert np.isnan(found.used[0, :-1]).all()


def test_a_straight_line_is_found_exactly_and_its_threshold_too():
    found, one = verdict(filesystem__var={"used": np.arange(100.0), "capacity": 200}, name="filesystem__var")
    assert found.course[one] == Course.GROWING
    assert found.forecast.trend.slope[one] == pytest.approx(1)
    assert found.forecast.at(90)[0][one] == pytest.approx(189)
    assert found.threshold[one] == pytest.approx(140)  # 70 % of 200
    assert found.days[one] == pytest.approx(41)
    assert found.date_of(one) == "2027-01-01"


@pytest.mark.parametrize("points", [1, 6])
def test_fewer_than_seven_points_are_not_enough(points):
    found, one = verdict(database__shop=np.arange(points) * 1.0, name="database__shop")
    assert found.course[one] == Course.UNKNOWN
    assert np.isnan(found.forecast.at(30)[0][one])
    assert not found.alert[one]


@pytest.mark.parametrize(
    ("used", "course"),
    [
        (1000 + noise(120, 5), Course.STEADY),
        (1000 + np.arange(120) + noise(120, 1), Course.GROWING),
        (1000 - np.arange(120) + noise(120, 1), Course.SHRINKING),
        (np.full(120, 7.0), Course.STEADY),
        (np.zeros(120), Course.STEADY),
        (1e12 + np.arange(120) * 1e3, Course.STEADY),  # sure, and a millionth a year
    ],
)
def test_the_course_has_a_verdict(used, course):
    found, one = verdict(table__orders=used, name="table__orders")
    assert found.course[one] == course


def test_a_step_is_no_growth_and_the_forecast_starts_where_it_stands():
    used = 1000 + noise(120, 2)
    used[60:] += 500
    found, one = verdict(table__orders=used, name="table__orders")
    assert found.course[one] == Course.STEADY
    assert found.forecast.at(30)[0][one] == pytest.approx(1500, rel=0.01)


def test_a_table_that_was_emptied_goes_on_from_where_it_is():
    used = np.arange(200.0) * 10 + noise(200, 3)
    used[150:] -= 1450
    found, one = verdict(table__orders=used, name="table__orders")
    assert found.forecast.trend.slope[one] == pytest.approx(10, rel=0.02)
    assert found.forecast.at(30)[0][one] == pytest.approx(840, rel=0.05)


def test_a_gap_does_not_mislead():
    used = np.arange(120.0) * 3 + noise(120, 1)
    used[40:75] = np.nan
    found, one = verdict(table__orders=used, name="table__orders")
    assert found.forecast.trend.slope[one] == pytest.approx(3, rel=0.02)
    assert not found.forecast.trend.cut[one]


def test_one_day_that_was_measured_wrongly_does_not_count():
    used = np.arange(120.0) * 3 + noise(120, 1)
    used[118] = 90_000
    found, one = verdict(table__orders=used, name="table__orders")
    assert found.forecast.at(30)[0][one] == pytest.approx(149 * 3, rel=0.02)


def test_a_log_that_is_rotated_every_week_is_not_growing():
    found, one = verdict(
        filesystem__log={"used": 100 + np.arange(200) % 7 * 10.0, "capacity": 300}, name="filesystem__log"
    )
    assert found.course[one] == Course.STEADY
    assert not found.alert[one]


def test_a_week_is_recognised_and_forecast():
    weekend = np.isin(np.arange(180) % 7, (5, 6))
    used = 1000 + np.arange(180) - 200 * weekend + noise(180, 2)
    found, one = verdict(metric__requests=used, name="metric__requests")
    assert found.forecast.trend.weekly[one]
    ahead = [found.forecast.at(day)[0][one] for day in range(1, 8)]
    expected = [1000 + 179 + day - 200 * (((179 + day) % 7) in (5, 6)) for day in range(1, 8)]
    assert ahead == pytest.approx(expected, abs=6)
    assert found.forecast.trend.slope[one] == pytest.approx(1, rel=0.05)


def test_growth_that_became_faster_counts_as_it_is_now():
    days = np.arange(100)
    found, one = verdict(table__orders=days + np.maximum(0, days - 85) * 9.0 + noise(100, 0.8), name="table__orders")
    assert found.forecast.trend.span[one] == 14
    assert found.forecast.trend.slope[one] == pytest.approx(10, rel=0.05)


def test_growth_that_ended_is_not_forecast():
    used = np.minimum(np.arange(120.0), 60) * 10 + noise(120, 1)
    found, one = verdict(table__orders=used, name="table__orders")
    assert found.course[one] == Course.STEADY


def test_a_threshold_already_passed_is_0_days_and_an_alert_even_without_growth_or_enough_samples():
    for days in (3, 100):
        found, one = verdict(database__shop={"used": [95.0] * days, "capacity": 100}, name="database__shop")
        assert (found.days[one], found.days_low[one], found.days_high[one]) == (0, 0, 0)
        assert found.alert[one]


def test_a_capacity_of_nothing_has_no_share_and_no_threshold():
    found, one = verdict(volume__pvc={"used": np.arange(30.0), "capacity": 0}, name="volume__pvc")
    assert np.isnan(found.threshold[one])
    assert np.isnan(found.days[one])
    assert not found.alert[one]


def test_a_resized_disk_is_held_against_its_new_size():
    capacity = np.where(np.arange(100) < 90, 120.0, 1000.0)
    found, one = verdict(filesystem__var={"used": np.arange(100.0), "capacity": capacity}, name="filesystem__var")
    assert found.threshold[one] == 700
    assert found.days[one] == pytest.approx(601)
    assert not found.alert[one]


@pytest.mark.parametrize(
    ("used", "alert", "near"),
    [
        (np.arange(100.0) * 0.65, True, False),  # 65 of 70, 8 days left
        (np.arange(100.0) * 0.1, False, False),  # predicted in years
        (np.full(100, 65.0) + noise(100, 0.1), False, False),  # low, and nothing grows
        (np.arange(14) * 2.0, False, True),  # full in 22 days at this rate, and far from it now
    ],
)
def test_an_alert_is_both_low_and_predicted(used, alert, near):
    found, one = verdict(filesystem__var={"used": used, "capacity": 100}, name="filesystem__var")
    assert (found.alert[one], found.near[one]) == (alert, near)


def test_nothing_is_said_below_the_floor():
    policy = CapacityPolicy(thresholds=({"kind": "*", "percent": 70, "floor": GIB},))
    used = {"used": np.arange(100.0), "capacity": 120}
    assert not outlook(grid(filesystem__boot=used), policy, 90).alert.any()
    assert outlook(grid(filesystem__boot=used), CapacityPolicy(), 90).alert.all()


def test_what_is_not_sampled_any_more_is_gone_and_what_began_anew_is_new():
    old = {"used": np.arange(50.0), "end": TODAY - timedelta(days=20)}
    found, one = verdict(table__a=old, table__b=np.arange(20.0), name="table__a")
    assert found.course[one] == Course.GONE
    assert np.isnan(found.days[one])
    assert found.course[1 - one] == Course.GROWING


def test_an_empty_history_is_empty():
    found = outlook(histories(table(), TODAY, 400), CapacityPolicy(), 90)
    assert len(found.grid) == 0
    assert found.urgent_first == []


def test_the_band_says_what_it_covered_and_nothing_when_that_is_not_known():
    long, short = 1000 + np.arange(400) + noise(400, 3), 1000 + np.arange(30) + noise(30, 3)
    covered = forecast(np.stack([long, np.concatenate([np.full(370, np.nan), short])])).covered
    assert 0.7 <= covered[0] <= 1
    assert np.isnan(covered[1])


def test_a_moment_before_1970_or_far_ahead_breaks_nothing():
    row = table(filesystem__var=[1.0]).to_pylist()[0]
    odd = [{**row, "day": datetime(year, 1, 1).date()} for year in (1969, 2200)]
    found = histories(rows_table([tuple(one.values()) for one in [row, *odd]]), TODAY, 10)
    assert np.isfinite(found.used).sum() == 1
