"""Forecasts with a band that was calibrated by walking forward: forecast from the past, see what came, remember."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tasks.capacity import trend
from tasks.capacity.histories import Floats, Integers, Mask
from tasks.capacity.steps import median
from tasks.capacity.trend import WINDOW, Trend

# Horizons at which the band is calibrated, in days; between them it is interpolated, beyond them carried on.
CALIBRATED = (7, 30, 90)
# How many days ago forecasts are made anew, as they would have been made then: every two weeks of nine months, so that
# a machine's minute is not spent on it; 30 and 90 are among them, whose outcome is known today.
_WALK = tuple(sorted({*range(16, 270, 14), 90}, reverse=True))
_THREADS = 2
_BAND = 0.9
_LEAST_SCORES = 5
# Of a band that nothing is known of; by the median error of fits to made series it holds nine of ten.
_UNKNOWN = 2.5
# Half of normal errors are below the first, nine of ten below the second, in standard deviations.
_NORMAL_MEDIAN, _NORMAL_BAND = 0.6745, 1.645
# A sample up to so many days before the day it was forecast for stands for that day.
_NEAR_DAYS = 3


@dataclass(frozen=True)
class Forecast:
    """The trend of each series today, its calibrated band, and the forecasts that were made on the way.

    `usual` is what the median error for 30 days makes of a 90 % band: a single step in a year says nothing about a
    slope. `factors` (rows, CALIBRATED) are multiples of `Trend.width`; `covered` is the share of forecasts whose
    outcome the band of their day held, NaN where there were too few. `made` with `made_half`, half the band of its
    day, and what `came` are (origins, rows, CALIBRATED), the oldest origin first; `origins` are columns of the grid.
    """

    trend: Trend
    factors: Floats
    usual: Floats
    covered: Floats
    origins: Integers
    made: Floats
    made_half: Floats
    came: Floats
    negative: Mask

    def at(self, horizon: int) -> tuple[Floats, Floats, Floats]:
        """The forecast for so many days from today, with low and high. What was never negative stays at 0 or above."""
        middle, half = self.trend.at(horizon), self.half(horizon)
        floor = np.where(self.negative, -np.inf, 0.0)
        return np.maximum(middle, floor), np.maximum(middle - half, floor), np.maximum(middle + half, floor)

    def half(self, horizon: float) -> Floats:
        """Half the band at a horizon; before the first calibrated one it opens from nothing, for today is known."""
        nearest = max(horizon, CALIBRATED[0])
        opening = np.sqrt(min(horizon, CALIBRATED[0]) / CALIBRATED[0])
        wide: Floats = opening * _interpolated(self.factors, nearest) * self.trend.width(nearest)
        return wide

    def growth(self) -> tuple[Floats, Floats, Floats]:
        """Growth per day with low and high: the slope's error, as many times as usual forecasts for 30 days missed."""
        half = self.usual * self.trend.error
        return self.trend.slope, self.trend.slope - half, self.trend.slope + half


def forecast(used: Floats) -> Forecast:
    """Fit all series (rows, days), whose last column is today, and calibrate each on its own history."""
    padded = np.concatenate([np.full((len(used), WINDOW), np.nan), used], axis=1)
    days = padded.shape[1]
    now = trend.fit(padded[:, days - WINDOW :])
    origins = days - 1 - np.array([ago for ago in _WALK if ago < used.shape[1] - trend.RECENT], dtype=np.int64)
    shape = (len(origins), len(used), len(CALIBRATED))
    made, width, came = (np.full(shape, np.nan) for _ in range(3))
    near = _near(padded)

    def walk(number: int) -> None:
        origin = origins[number]
        then = trend.fit(padded[:, origin - WINDOW + 1 : origin + 1])
        for place, horizon in enumerate(CALIBRATED):
            made[number, :, place] = then.at(horizon)
            width[number, :, place] = then.width(horizon)
            if origin + horizon < days:
                came[number, :, place] = near[:, origin + horizon]

    # numpy leaves the other core to the other thread.
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(walk, range(len(origins))))
    # A series that is nothing has no width, and what came of it is no error.
    with np.errstate(over="ignore"):
        scores = np.abs(came - made) / np.maximum(width, np.finfo(np.float64).tiny)
    factors, half, covered = _calibrated(origins, scores)
    usual = _usual(scores[:, :, CALIBRATED.index(30)])
    negative = np.asarray((used < 0).any(axis=1))
    return Forecast(now, factors, usual, covered, origins - WINDOW, made, half * width, came, negative)


def _calibrated(origins: Integers, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """The band's multiples today, those of each origin's day, and how often these held what came later.

    The multiple is the conformal quantile of the errors known on the day, in units of the width (Vovk et al. 2005);
    where fewer than _LEAST_SCORES are known, that of the next shorter horizon, in the end _UNKNOWN.
    """
    then = np.array([_factors(scores, origins, origin) for origin in origins]).reshape(scores.shape)
    known = np.isfinite(scores)
    tested = known.sum(axis=(0, 2))
    held = (known & (scores <= then)).sum(axis=(0, 2))
    covered = np.where(tested >= _LEAST_SCORES, held / np.maximum(tested, 1), np.nan)
    return _factors(scores, origins, np.inf), then, covered


def _factors(scores: Floats, origins: Integers, today: float) -> Floats:
    factors = np.full(scores.shape[1:], np.nan)
    shorter = np.full(scores.shape[1], _UNKNOWN)
    for place, horizon in enumerate(CALIBRATED):
        known = scores[origins + horizon <= today, :, place]
        shorter = np.where(np.isfinite(known).sum(axis=0) >= _LEAST_SCORES, _quantile(known), shorter)
        factors[:, place] = shorter
    return factors


def _usual(scores: Floats) -> Floats:
    """The multiple that holds 90 % of normal errors with the median of these, at least that of normal errors alone."""
    count = np.isfinite(scores).sum(axis=0)
    usual = median(scores.T, np.isfinite(scores.T)) / _NORMAL_MEDIAN * _NORMAL_BAND
    return np.where(count >= _LEAST_SCORES, np.fmax(usual, _NORMAL_BAND), _UNKNOWN)


def _quantile(scores: Floats) -> Floats:
    """The ceil((n + 1) * _BAND)-th smallest of n scores of each column, at most the largest; NaN of none."""
    if not len(scores):
        return np.full(scores.shape[1], np.nan)
    count = np.isfinite(scores).sum(axis=0)
    ordered = np.sort(scores, axis=0)  # NaN last
    place = np.clip(np.ceil((count + 1) * _BAND).astype(np.int64), 1, np.maximum(count, 1)) - 1
    found: Floats = np.take_along_axis(ordered, place[None, :], axis=0)[0]
    return found


def _near(values: Floats) -> Floats:
    """The value of each day, or that of one of the few days before it."""
    near = values.copy()
    for back in range(1, _NEAR_DAYS + 1):
        gone = ~np.isfinite(near[:, back:])
        near[:, back:][gone] = values[:, :-back][gone]
    return near


def _interpolated(factors: Floats, horizon: float) -> Floats:
    place = float(np.interp(horizon, CALIBRATED, np.arange(len(CALIBRATED))))
    low = int(place)
    high = min(low + 1, len(CALIBRATED) - 1)
    found: Floats = factors[:, low] + (place - low) * (factors[:, high] - factors[:, low])
    return found
