"""What happened to resources: steps, resets, gaps, other sizes, and those that came, went or were renamed."""

from datetime import date
from typing import Any

import numpy as np

from tasks.capacity import season, steps, trend
from tasks.capacity.figures import number
from tasks.capacity.histories import Floats, Histories, Integers, Mask, before

HEADER = ("system", "kind", "resource", "unit", "day", "event", "size", "before", "after", "message")
# A gap is so many days without a sample; what lost this share of itself at once was emptied or made anew.
_GAP_DAYS, _RESET_SHARE = 3, 0.5
# A resource is gone when others of its kind have samples from so many days later.
GONE_DAYS = 7
# One that came within these days of another's end, and is as large as it was, may be the same under another name.
_RENAME_DAYS, _RENAME_SHARE = 2, 0.05
Row = dict[str, Any]


def gone(grid: Histories) -> Mask:
    """Which series have ended although others of their kind go on."""
    newest = {kind: grid.last[grid.kinds == kind].max() for kind in set(grid.kinds)}
    return np.asarray(np.array([newest[kind] for kind in grid.kinds], dtype=np.int64) - grid.last >= GONE_DAYS)


def events(system: str, grid: Histories) -> list[Row]:
    """All events of the grid's days, the newest first. Sizes are in the unit of the resource."""
    found = [*_steps(system, grid), *_gaps(system, grid), *_resized(system, grid), *_come_and_gone(system, grid)]
    return sorted(found, key=lambda row: (row["day"], abs(row["size"] or 0)), reverse=True)


def _row(system: str, grid: Histories, series: int, column: int, event: str, values: tuple[Any, ...]) -> Row:
    size, former, after, message = values
    return {
        "system": system,
        "kind": grid.kinds[series],
        "resource": grid.resources[series],
        "unit": grid.units[series],
        "day": str(_day(grid, column)),
        "event": event,
        "size": number(size),
        "before": number(former),
        "after": number(after),
        "message": message,
    }


def _day(grid: Histories, column: int) -> date:
    found: date = grid.days[column].astype(date)
    return found


def step_days(grid: Histories) -> tuple[Mask, Mask]:
    """Where series (series, days) step by the rule of the forecast, and where they do so again and again.

    The whole history counts; steps among which RECURRING lie within one window of a fit are the usual course there.
    """
    days = grid.used.shape[1]
    profile, _ = season.weekly(grid.used)
    phase = (days - 1 - np.arange(days)) % season.WEEK
    _, jumped, _ = steps.jumps(steps.without_spikes(grid.used - profile[:, phase]))
    sums = np.cumsum(np.pad(jumped, ((0, 0), (trend.WINDOW, trend.WINDOW - 1))), axis=1)
    # How many lie within each window, from the one that ends on the first day to the one that begins on the last.
    within: Integers = sums[:, trend.WINDOW :] - sums[:, : -trend.WINDOW]
    crowded = np.lib.stride_tricks.sliding_window_view(within >= steps.RECURRING, trend.WINDOW, axis=1).any(axis=2)
    often = jumped & crowded
    return jumped & ~often, often


def _steps(system: str, grid: Histories) -> list[Row]:
    """Steps with their sizes; those of a series that steps again and again are one event."""
    jumped, often = step_days(grid)
    former, _ = before(grid.used)
    rows = []
    for series in np.flatnonzero(often.any(axis=1)).tolist():
        columns = np.flatnonzero(often[series])
        message = f"{len(columns)} steps from {_day(grid, columns[0])} to {_day(grid, columns[-1])}: its usual course"
        size = float(grid.used[series, columns[-1]] - former[series, columns[0]])
        rows.append(_row(system, grid, series, columns[-1], "recurring steps", (size, None, None, message)))
    for series, column in zip(*np.nonzero(jumped), strict=True):
        was, now = float(former[series, column]), float(grid.used[series, column])
        reset = now < was * (1 - _RESET_SHARE)
        event = "reset" if reset else "step up" if now > was else "step down"
        message = "emptied, truncated or made anew" if reset else ""
        rows.append(_row(system, grid, series, column, event, (now - was, was, now, message)))
    return rows


def _gaps(system: str, grid: Histories) -> list[Row]:
    _, ago = before(grid.used)
    missing = np.isfinite(grid.used) & (ago > _GAP_DAYS)
    return [
        _row(
            system, grid, series, column, "gap",
            (None, None, None, f"no sample for {ago[series, column] - 1} days before"),
        )
        for series, column in zip(*np.nonzero(missing), strict=True)
    ]  # fmt: skip


def _resized(system: str, grid: Histories) -> list[Row]:
    former, _ = before(grid.capacity)
    with np.errstate(invalid="ignore"):
        changed = np.abs(grid.capacity - former) > 1e-6 * np.abs(former)
    # What changes all the time (memory of a busy host's pods) is no resize.
    changed &= (changed.sum(axis=1) <= steps.RECURRING)[:, None]
    return [
        _row(
            system, grid, series, column, "resized",
            (
                float(grid.capacity[series, column] - former[series, column]),
                float(former[series, column]), float(grid.capacity[series, column]), "its capacity changed",
            ),
        )
        for series, column in zip(*np.nonzero(changed), strict=True)
    ]  # fmt: skip


def _come_and_gone(system: str, grid: Histories) -> list[Row]:
    """Series that began or ended within the grid, with the name they may have had before."""
    if not len(grid):
        return []
    started = {kind: grid.first[grid.kinds == kind].min() for kind in set(grid.kinds)}
    came = np.flatnonzero(grid.first > np.array([started[kind] for kind in grid.kinds]))
    went = np.flatnonzero(gone(grid))
    rows = []
    for series in went.tolist():
        size = float(grid.last_used[series])
        message = "no sample since: dropped or renamed"
        rows.append(_row(system, grid, series, grid.last[series], "disappeared", (-size, size, None, message)))
    ended_by_kind = {kind: went[grid.kinds[went] == kind] for kind in set(grid.kinds[went])}
    for series in came.tolist():
        size = float(grid.used[series, grid.first[series]])
        former = _former_name(grid, series, ended_by_kind.get(grid.kinds[series], np.empty(0, dtype=np.int64)))
        message = f"perhaps {former} under another name" if former else ""
        rows.append(_row(system, grid, series, grid.first[series], "appeared", (size, None, size, message)))
    return rows


def _former_name(grid: Histories, series: int, ended: Integers) -> str:
    """The resource that ended when this one began and was as large; empty without one."""
    first: int = grid.first[series]
    size: float = grid.used[series, first]
    last: Floats = grid.last_used[ended]
    fits = np.abs(grid.last[ended] + 1 - first) <= _RENAME_DAYS
    fits &= (np.abs(last - size) <= _RENAME_SHARE * max(abs(size), 1e-9)) & (grid.units[ended] == grid.units[series])
    names = grid.resources[ended][fits]
    return str(names[0]) if len(names) else ""
