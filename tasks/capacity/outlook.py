"""What the report says of each resource: forecast, threshold, verdict, how it was reached, and what to do."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from tasks.base.capacity import CapacityPolicy
from tasks.capacity import events, trend
from tasks.capacity.forecast import Forecast, forecast
from tasks.capacity.histories import Floats, Histories, Mask
from tasks.capacity.thresholds import days_to

# Less growth or loss than this share of itself in a year is none, however sure it is.
_MATERIAL_SHARE, _YEAR_DAYS = 0.01, 365


class Course(StrEnum):
    """The verdict on a series."""

    GROWING = "growing"
    STEADY = "no significant growth"
    SHRINKING = "shrinking"
    UNKNOWN = "not enough data"
    GONE = "gone"


@dataclass(frozen=True)
class Outlook:
    """All series of a system with what is to be said of them; arrays have one entry per series.

    `threshold` is in the unit of the series, NaN without a capacity. `alert` is low and predicted and above the floor,
    or passed already; `near` is predicted within the horizon alone.
    """

    grid: Histories
    forecast: Forecast
    course: npt.NDArray[np.object_]
    threshold: Floats
    days: Floats
    days_low: Floats
    days_high: Floats
    passed: Mask
    alert: Mask
    near: Mask

    @property
    def urgent_first(self) -> list[int]:
        """The series that need action: alerts by their days, then what is near by its."""
        chosen = np.flatnonzero(self.alert | self.near)
        share = self.grid.last_used / self.threshold
        return sorted(chosen.tolist(), key=lambda one: (not self.alert[one], self.days[one], -share[one]))

    def date_of(self, series: int) -> str:
        """The day on which the threshold is expected to be reached, as the report writes it; empty for none."""
        if not np.isfinite(self.days[series]):
            return ""
        found = self.grid.days[-1].astype(object) + timedelta(days=round(float(self.days[series])))
        return f"{found:%Y-%m-%d}"


def outlook(grid: Histories, policy: CapacityPolicy, horizon_days: int) -> Outlook:
    """Forecast every series and hold it against its threshold; `horizon_days` is how far ahead action is planned."""
    made = forecast(grid.used)
    ended = events.gone(grid) if len(grid) else np.zeros(0, dtype=bool)
    used, capacity = grid.last_used, grid.last_capacity
    rules = [policy.threshold(kind, name) for kind, name in zip(grid.kinds, grid.resources, strict=True)]
    share = np.array([rule.percent / 100 if rule else np.nan for rule in rules], dtype=np.float64)
    floor = np.array([rule.floor if rule else 0 for rule in rules], dtype=np.float64)
    threshold = np.where(capacity > 0, share * capacity, np.nan)
    course = _course(made, used, ended)
    known = ~np.isin(course, (Course.GONE, Course.UNKNOWN))
    middle, low, high = days_to(made, used, threshold)
    with np.errstate(invalid="ignore"):
        passed = (used >= threshold) & ~ended
        predicted = known & (course == Course.GROWING) & (middle <= horizon_days) & (used >= floor)
        is_low = used >= policy.low_share * threshold
        soon = predicted & is_low & (middle <= policy.alert_days)
    shown = known | passed
    return Outlook(
        grid, made, course, threshold,
        np.where(shown, middle, np.nan), np.where(shown, low, np.nan), np.where(shown, high, np.nan),
        passed, (passed & (used >= floor)) | soon, predicted & ~soon & ~passed,
    )  # fmt: skip


def _course(made: Forecast, used: Floats, ended: Mask) -> npt.NDArray[np.object_]:
    slope, low, high = made.growth()
    with np.errstate(invalid="ignore"):
        material = np.abs(slope) * _YEAR_DAYS >= _MATERIAL_SHARE * np.abs(used)
        course = np.full(len(used), Course.STEADY, dtype=object)
        course[material & (low > 0)] = Course.GROWING
        course[material & (high < 0)] = Course.SHRINKING
    course[~np.isfinite(slope)] = Course.UNKNOWN
    course[ended] = Course.GONE
    return course


def method(found: Outlook, series: int) -> str:
    """How the figures were reached, in words that docs/capacity_report.md explains."""
    made = found.forecast.trend
    if found.course[series] in (Course.GONE, Course.UNKNOWN):
        return ""
    span = int(made.span[series])
    said = ["Theil-Sen" if span == trend.WINDOW else f"Theil-Sen of the last {span} days"]
    if made.cut[series]:
        said.append("cut at steps")
    if made.recurring[series]:
        said.append("recurring steps")
    if made.weekly[series]:
        said.append("weekly season")
    said.append("band from its history" if np.isfinite(found.forecast.covered[series]) else "band not calibrated")
    return ", ".join(said)


def action(found: Outlook, series: int) -> str:
    """What a person should do about a resource; empty for nothing."""
    grid, points = found.grid, int(found.forecast.trend.points[series])
    choices = (
        (found.course[series] == Course.GONE, "see whether it was dropped or renamed; nothing is forecast for it"),
        (grid.last_capacity[series] == 0, "its capacity is 0: see why, and whether it should be sampled"),
        (found.alert[series] and found.passed[series], "over its threshold: free space or add capacity now"),
        (found.alert[series], f"free space or add capacity before {found.date_of(series)}"),
        (found.near[series], f"plan capacity: its threshold is expected to be reached on {found.date_of(series)}"),
        (
            found.course[series] == Course.UNKNOWN,
            f"wait: {points} of {trend.LEAST} samples of the last {trend.WINDOW} days are there",
        ),
    )
    return next((said for applies, said in choices if applies), "")
