"""How far forecasts are from the truth, on series whose truth is known, beside the usual ways to draw a line."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cost
from tasks.capacity import trend
from tasks.capacity.forecast import forecast
from tasks.capacity.trend import WINDOW

Floats = npt.NDArray[np.float64]
# Series of each kind; of the slow ones, which are only compared with, fewer do.
_SERIES, _FEW = 400, 30
_DAYS, _HISTORY, _AHEAD = 30, 400, 90
_NOISE = 0.8


@dataclass(frozen=True)
class Kind:
    """Series that grow by one a day, noise 0.8: `course` of the day number and the last day, `slope` at its end.

    `budget_pct` is the median slope error that ours may have on 30 daily points, in percent of the slope, as FACTS of
    the design measured it; None for the kinds that it does not name, which are only shown beside the other ways.
    """

    course: Callable[[Floats, float], Floats]
    slope: Callable[[float], float]
    budget_pct: float | None = None


def _burst(day: Floats, last: float) -> Floats:
    return day + 30.0 * ((day > last / 2) & (day < last / 2 + 4))


KINDS = {
    "linear": Kind(lambda day, _: day, lambda _: 1.0, 2),
    "step": Kind(lambda day, last: day + 40.0 * (day > last / 2), lambda _: 1.0, 4),
    "change-of-slope": Kind(lambda day, last: day + np.maximum(0, day - last / 2), lambda _: 2.0, 5),
    "season": Kind(lambda day, _: day + 5.0 * np.isin(day % 7, (5, 6)), lambda _: 1.0),
    "burst": Kind(_burst, lambda _: 1.0),
    "flat": Kind(lambda day, _: 0 * day, lambda _: 0.0),
    "saturating": Kind(lambda day, last: last * (1 - np.exp(-day / last)), lambda _: float(np.exp(-1.0))),
    "shrinking": Kind(lambda day, _: -day, lambda _: -1.0),
}


@cache  # the same every time: it is not timed
def accuracy(name: str) -> Cost:
    """The median slope error of ours in percent, in the place of seconds; the others and the coverage in `said`."""
    kind = KINDS[name]
    made = series(kind, _DAYS, 0)
    truth = kind.slope(_DAYS - 1)
    ours = _error(_ours(made), truth)
    others = ", ".join(f"{label} {_error(estimate(made), truth):.1f}" for label, estimate in OTHERS.items())
    covered, called = coverage(kind)
    called_as = f"called {called:.0f}" if np.isfinite(called) else "not called"
    said = (
        f"figures are median slope errors in % (not seconds), the second is the budget or least squares; {others}; "
        f"band at 30 and 90 days covered {covered:.0f} %, {called_as}"
    )
    return Cost(seconds=ours, peak_mb=0, said=said)


def least_squares_error(name: str) -> float:
    """The median slope error of a straight line over all of the same series, in percent."""
    kind = KINDS[name]
    return _error(_least_squares(series(kind, _DAYS, 0)), kind.slope(_DAYS - 1))


def series(kind: Kind, days: int, ahead: int) -> Floats:
    """Made series (rows, days + ahead); the course is that of `days`, and goes on."""
    rng = np.random.default_rng(20261121)
    day = np.arange(days + ahead, dtype=np.float64)
    return 1000 + kind.course(day, days - 1.0) + rng.normal(0, _NOISE, (_SERIES, days + ahead))


def coverage(kind: Kind) -> tuple[float, float]:
    """Of a history of 400 days: the share of what came in 30 and 90 days that the band held, and what it was called."""
    made = series(kind, _HISTORY, _AHEAD)
    found = forecast(made[:, :_HISTORY])
    held = []
    for horizon in (30, 90):
        _, low, high = found.at(horizon)
        came = made[:, _HISTORY - 1 + horizon]
        held.append((low <= came) & (came <= high))
    return float(np.mean(held)) * 100, float(np.nanmedian(found.covered)) * 100


def _error(slopes: Floats, truth: float) -> float:
    return float(np.median(np.abs(slopes - truth)) / (abs(truth) or 1)) * 100


def _ours(made: Floats) -> Floats:
    empty = np.full((len(made), WINDOW - made.shape[1]), np.nan)
    return trend.fit(np.concatenate([empty, made], axis=1)).slope


def _least_squares(made: Floats) -> Floats:
    return np.asarray(np.polyfit(np.arange(made.shape[1]), made.T, 1)[0])


def _last_14_days(made: Floats) -> Floats:
    return _least_squares(made[:, -14:])


def _predict_linear(made: Floats) -> Floats:
    """Prometheus' predict_linear over the last seven days: least squares of a sample every day from now on back."""
    return _least_squares(made[:, -8:])


def _holt(made: Floats) -> Floats:
    """Holt's linear trend with the parameters that statsmodels finds."""
    from statsmodels.tsa.holtwinters import Holt  # noqa: PLC0415 - two seconds and 60 MB, for this alone

    fits = [Holt(row, initialization_method="estimated").fit() for row in made[:_FEW]]
    return np.array([fit.forecast(2)[1] - fit.forecast(2)[0] for fit in fits])


OTHERS: dict[str, Callable[[Floats], Floats]] = {
    "least squares": _least_squares,
    "last 14 days": _last_14_days,
    "Holt": _holt,
    "predict_linear over a week": _predict_linear,
}
