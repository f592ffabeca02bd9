"""A week that repeats: the usual distance of each weekday from the course of the series."""

import numpy as np

from tasks.capacity.histories import Floats, Mask
from tasks.capacity.steps import median

WEEK = 7
# Fewer weeks say nothing about a week; and it must take away this much of what is left beside the course.
_WEEKS = 5
_SHARE = 0.4


def weekly(values: Floats) -> tuple[Floats, Mask]:
    """The weekly profile (rows, 7) of windows (rows, days), and which rows have one; zeros where there is none.

    Column k of the profile belongs to the days whose distance from the window's last day is k modulo 7. The course is
    the mean of the seven days around each day, so steps and slopes touch the profile's medians little.
    """
    rows, days = values.shape
    course = _course(values)
    distance = values - course
    known = np.isfinite(distance)
    phase = (days - 1 - np.arange(days)) % WEEK
    profile = np.zeros((rows, WEEK))
    for day in range(WEEK):
        profile[:, day] = median(distance[:, phase == day], known[:, phase == day])
    profile -= np.nanmean(np.where(np.isfinite(profile), profile, 0), axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        rest = median(np.abs(distance - profile[:, phase]), known)
        whole = median(np.abs(distance), known)
        found = (known.sum(axis=1) >= _WEEKS * WEEK) & np.isfinite(profile).all(axis=1) & (rest < (1 - _SHARE) * whole)
    return np.where(found[:, None], profile, 0.0), found


def _course(values: Floats) -> Floats:
    """The mean of the seven days around each day; NaN unless all seven are known."""
    course = np.full_like(values, np.nan)
    if values.shape[1] >= WEEK:
        around = np.lib.stride_tricks.sliding_window_view(values, WEEK, axis=1)
        course[:, WEEK // 2 : values.shape[1] - WEEK // 2] = around.mean(axis=2)
    return course
