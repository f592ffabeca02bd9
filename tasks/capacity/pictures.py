"""What a picture of a resource shows: history, the segments of its course, forecast and band, the threshold."""

from datetime import UTC, datetime

import numpy as np

from tasks.base.attachments import Band, Event, Limit, Line, LineChart
from tasks.capacity import events, steps
from tasks.capacity.histories import Floats
from tasks.capacity.outlook import Outlook
from tasks.capacity.trend import Trend

# A picture is a few hundred dots wide: more events than these cannot be told apart.
_EVENTS = 6


def picture(found: Outlook, series: int, number: int, horizon_days: int) -> LineChart:
    """The picture of one resource; `number` is its place in the report."""
    grid, made = found.grid, found.forecast
    used = grid.used[series]
    first = int(grid.first[series])
    ahead = np.arange(horizon_days + 1)  # every day: fewer would make a comb of a weekly season
    future = grid.days[-1] + ahead
    middle, low, high = (
        np.array([values[series] for values in column]) for column in zip(*map(made.at, ahead.tolist()), strict=True)
    )
    trend = made.trend
    segment, at = _segments(used, trend, series)
    jumped, _ = events.step_days(grid.of(np.array([series])))
    capacity = float(grid.last_capacity[series])
    limits = [Limit(name="threshold", value=float(found.threshold[series]))]
    # The capacity is shown where the picture comes near it: else it would press all the rest flat.
    if np.isfinite(capacity) and (np.nanmax(high) > 0.7 * capacity or np.nanmax(used) > 0.7 * capacity):
        limits.append(Limit(name="capacity", value=capacity))
    return LineChart(
        name=f"{number:02d}-{_slug(f'{grid.kinds[series]}-{grid.resources[series]}')}",
        title=f"{grid.kinds[series]} {grid.resources[series]}",
        unit=str(grid.units[series]),
        lines=(
            Line(name="history", at=grid.days[first:], values=used[first:]),
            Line(name="forecast", at=future, values=middle, dashed=True),
            Line(name="course", at=grid.days[at], values=segment, dashed=True),
        ),
        band=Band(name="band", at=future, low=low, high=high),
        limits=tuple(limit for limit in limits if np.isfinite(limit.value)),
        events=tuple(
            Event(name="step", at=datetime.fromisoformat(str(grid.days[column])).replace(tzinfo=UTC))
            for column in np.flatnonzero(jumped[0])[-_EVENTS:]
        ),
    )


def _segments(used: Floats, trend: Trend, series: int) -> tuple[Floats, slice]:
    """The fitted course inside each segment of the days that the slope rests on, NaN where a new one begins."""
    start = max(0, len(used) - int(trend.span[series]))
    cut = steps.segments(used[None, start:])
    days = np.arange(len(used) - start)
    course = np.full(len(days), np.nan)
    for number in range(int(cut.segment.max()) + 1):
        inside = (cut.segment[0] == number) & np.isfinite(cut.values[0])
        if inside.any():
            level = float(np.median(cut.values[0][inside] - trend.slope[series] * days[inside]))
            whole = (days >= days[inside].min() + (number > 0)) & (days <= days[inside].max())
            course[whole] = level + trend.slope[series] * days[whole]
    return course, slice(start, None)


def _slug(text: str) -> str:
    """The name as it may stand in a file's name."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text.lower()).strip("-")[:50]
