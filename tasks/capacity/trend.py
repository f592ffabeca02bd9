"""The course of many series at once: Theil-Sen slopes inside segments, the cautious recent slope, the level."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from tasks.capacity import season, steps
from tasks.capacity.histories import Floats, Integers, Mask
from tasks.capacity.steps import MAD_TO_SIGMA, Segments, median

# What a fit looks at, in days; the last days that may show a change of course; the least that any verdict needs.
WINDOW, MIDDLE, RECENT, LEAST = 90, 42, 14, 7
# Pairs a whole number of weeks apart are blind to the week, and these few do as well as all.
_WEEK_LAGS = (7, 14, 28, 42, 56, 70)
_FEW_PAIRS = 60
_RECENT_PAIRS = 20
# A later course counts when it differs from the whole by so many of its own standard errors.
_RECENT_ERRORS, _MIDDLE_ERRORS = 2.0, 4.0
_ROWS = 4000


@dataclass(frozen=True)
class Trend:
    """One straight course per row, from the window's last day on; see `at`.

    `span` is how many of the last days the slope rests on, `level` the value on the last day without the week,
    `slope` per day, `error` the slope's standard error,
    `sigma` the noise around the course, `profile` the week (zeros without one), `points` the days with a sample.
    """

    level: Floats
    slope: Floats
    error: Floats
    sigma: Floats
    profile: Floats
    weekly: Mask
    span: Integers
    recurring: Mask
    cut: Mask
    points: Integers

    def at(self, horizon: int) -> Floats:
        """The value that is expected so many days after the window's last day."""
        return self.level + self.slope * horizon + self.profile[:, -horizon % season.WEEK]

    def width(self, horizon: float) -> Floats:
        """How far from that the noise alone may lead, as one standard deviation; the band is a multiple of it."""
        least = 1e-9 * np.abs(self.level)
        return np.maximum(np.sqrt(self.sigma**2 + (self.error * horizon) ** 2), least)


def fit(windows: Floats) -> Trend:
    """The course of each window (rows, WINDOW), whose last column is today; missing days are NaN.

    Rows with fewer than LEAST samples have NaN for level, slope, error and sigma.
    """
    parts = [_fit(windows[start : start + _ROWS]) for start in range(0, max(1, len(windows)), _ROWS)]
    names = Trend.__dataclass_fields__
    return Trend(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _fit(windows: Floats) -> Trend:
    profile, weekly = season.weekly(windows)
    phase = (WINDOW - 1 - np.arange(WINDOW)) % season.WEEK
    cut = steps.segments(windows - profile[:, phase])
    known = np.isfinite(cut.values)
    points = known.sum(axis=1)
    long = _slope(cut, known, WINDOW)
    sigma, error = _noise(cut, known, long)
    slope, sigma, error, later = _if_later_is_other(cut, known, long, sigma, error)
    slope, sigma, error, recent = _if_recent_is_steeper(cut, known, slope, sigma, error)
    span = np.where(recent, RECENT, np.where(later, MIDDLE, WINDOW))
    level = _level(cut, known, slope)
    enough = (points >= LEAST) & np.isfinite(slope)
    blank = np.where(enough, 0.0, np.nan)
    return Trend(
        level=level + blank,
        slope=slope + blank,
        error=error + blank,
        sigma=sigma + blank,
        profile=profile,
        weekly=weekly,
        span=span,
        recurring=cut.recurring,
        cut=np.asarray(cut.steps.any(axis=1)),
        points=points,
    )


@cache
def _all_pairs(days: int) -> tuple[Integers, Integers]:
    first, second = np.triu_indices(days, 1)
    return first + WINDOW - days, second + WINDOW - days


@cache
def _week_pairs(days: int) -> tuple[Integers, Integers]:
    first, second = _all_pairs(days)
    chosen = np.isin(second - first, _WEEK_LAGS)
    return first[chosen], second[chosen]


def _pair_median(cut: Segments, known: Mask, pairs: tuple[Integers, Integers]) -> tuple[Floats, Integers]:
    """The median slope of pairs within one segment (Theil 1950, Sen 1968), and how many pairs there were."""
    first, second = pairs
    valid = known[:, first] & known[:, second] & (cut.segment[:, first] == cut.segment[:, second])
    with np.errstate(invalid="ignore"):
        slopes = (cut.values[:, second] - cut.values[:, first]) / (second - first)
    return median(slopes, valid), valid.sum(axis=1)


def _slope(cut: Segments, known: Mask, days: int) -> Floats:
    """The median slope of pairs whole weeks apart within the last days; of all pairs where those are too few."""
    slope, pairs = _pair_median(cut, known, _week_pairs(days))
    few = pairs < _FEW_PAIRS
    long = known[:, : WINDOW - MIDDLE].any(axis=1)
    for rows, span in ((few & ~long, MIDDLE), (few & long, days)):
        if rows.any():
            slope[rows] = _pair_median(cut.of(rows), known[rows], _all_pairs(span))[0]
    return slope


def _noise(cut: Segments, known: Mask, slope: Floats) -> tuple[Floats, Floats]:
    """The robust sigma of what is left around segment-wise lines of that slope, and the slope's standard error.

    What follows its neighbour (lag-one correlation r) says less: the error grows by sqrt((1 + r) / (1 - r)).
    """
    course = cut.values - slope[:, None] * np.arange(WINDOW)
    residual = np.zeros_like(course)
    for number in range(steps.RECURRING):
        inside = known & (cut.segment == number)
        with np.errstate(invalid="ignore"):
            residual = np.where(inside, course - median(course, inside)[:, None], residual)
    sigma = MAD_TO_SIGMA * median(np.abs(residual), known)
    sigma = np.fmax(sigma, cut.sigma / np.sqrt(2))
    bounded = np.clip(residual, -3 * sigma[:, None], 3 * sigma[:, None])
    power = (bounded**2).sum(axis=1)
    follow = (bounded[:, 1:] * bounded[:, :-1]).sum(axis=1) / np.where(power > 0, power, 1)
    follow = np.clip(np.nan_to_num(follow), 0, 0.9)
    return sigma, sigma * np.sqrt((1 + follow) / (1 - follow)) / np.sqrt(_leverage(cut.segment, known))


def _leverage(segment: Integers, known: Mask) -> Floats:
    """The sum of squared distances in time from the middle of each segment: what a slope rests on, in days squared."""
    time = np.arange(segment.shape[1], dtype=np.float64)
    total = np.zeros(len(segment))
    for number in range(steps.RECURRING):
        inside = known & (segment == number)
        count = np.maximum(1, inside.sum(axis=1))
        total += (inside * time**2).sum(axis=1) - (inside @ time) ** 2 / count
    return np.maximum(total, 0.5)


def _if_later_is_other(
    cut: Segments, known: Mask, slope: Floats, sigma: Floats, error: Floats
) -> tuple[Floats, Floats, Floats, Mask]:
    """The slope of the last weeks where the course has plainly changed since, whichever way."""
    later = known.copy()
    later[:, : WINDOW - MIDDLE] = False
    value = _slope(cut, later, MIDDLE)
    own_sigma, own_error = _noise(cut, later, value)
    with np.errstate(invalid="ignore"):
        other = (np.abs(value - slope) > _MIDDLE_ERRORS * own_error) & (later.sum(axis=1) >= MIDDLE // 2)
        other &= known[:, : WINDOW - MIDDLE].any(axis=1)
    return (
        np.where(other, value, slope),
        np.where(other, own_sigma, sigma),
        np.where(other, own_error, error),
        other,
    )


def _if_recent_is_steeper(
    cut: Segments, known: Mask, slope: Floats, sigma: Floats, error: Floats
) -> tuple[Floats, Floats, Floats, Mask]:
    """The cautious recent slope: that of the last 14 days where it is larger, and more than its noise."""
    last = known.copy()
    last[:, : WINDOW - RECENT] = False
    value, pairs = _pair_median(cut, last, _all_pairs(RECENT))
    own_sigma, own_error = _noise(cut, last, value)
    with np.errstate(invalid="ignore"):
        steeper = (value - slope > _RECENT_ERRORS * own_error) & (pairs >= _RECENT_PAIRS)
    return (
        np.where(steeper, value, slope),
        np.where(steeper, own_sigma, sigma),
        np.where(steeper, own_error, error),
        steeper,
    )


def _level(cut: Segments, known: Mask, slope: Floats) -> Floats:
    """Where the course stands today: the median of the last week of samples of the last segment, carried forward."""
    carried = cut.values + slope[:, None] * (WINDOW - 1 - np.arange(WINDOW))
    newest = WINDOW - 1 - np.argmax(known[:, ::-1], axis=1)
    segment = np.take_along_axis(cut.segment, newest[:, None], axis=1)
    recent = np.arange(WINDOW) > (newest - season.WEEK)[:, None]
    return median(carried, known & (cut.segment == segment) & recent)
