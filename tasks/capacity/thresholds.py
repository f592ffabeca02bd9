"""When a threshold is reached: days with low and high, never negative, nothing beyond ten years."""

import numpy as np

from tasks.capacity.forecast import Forecast
from tasks.capacity.histories import Floats

# Beyond ten years nobody plans, and no course stays what it is.
FARTHEST_DAYS = 3650
_HORIZONS = np.unique(np.concatenate([np.arange(0, 120), np.geomspace(120, FARTHEST_DAYS, 120)]).astype(np.int64))


def days_to(forecast: Forecast, used: Floats, threshold: Floats) -> tuple[Floats, Floats, Floats]:
    """Days until the threshold is reached, the earliest and the latest by the band; NaN where it is not within reach.

    Reached already is 0. The course without its week counts: a weekend must not bring the day nearer. Between two
    horizons the day is interpolated.
    """
    middle, early, late = (np.full(len(used), np.nan) for _ in range(3))
    trend = forecast.trend
    former: tuple[Floats, Floats, Floats] | None = None
    former_horizon = 0
    for horizon in _HORIZONS:
        course = trend.level + trend.slope * horizon
        half = forecast.half(horizon)
        now = (course, course + half, course - half)
        for place, days in enumerate((middle, early, late)):
            with np.errstate(invalid="ignore", divide="ignore"):
                reached = np.isnan(days) & (now[place] >= threshold)
                if former is None:
                    days[reached] = 0.0
                else:
                    share = (threshold - former[place]) / (now[place] - former[place])
                    exact = former_horizon + np.clip(share, 0, 1) * (horizon - former_horizon)
                    days[reached] = exact[reached]
        former, former_horizon = now, int(horizon)
    passed = used >= threshold
    return (
        np.where(passed, 0.0, middle),
        np.where(passed, 0.0, early),
        np.where(passed, 0.0, late),
    )
