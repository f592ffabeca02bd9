"""The tables of a report: one row per resource, what made the databases grow, what came of former forecasts."""

from typing import Any

import numpy as np

from tasks.capacity.figures import number, numbers
from tasks.capacity.forecast import CALIBRATED
from tasks.capacity.histories import Floats, last_known
from tasks.capacity.outlook import Course, Outlook, action, method

HORIZONS = (30, 90, 180)
_FORECASTS = tuple(f"forecast_{days}{side}" for days in HORIZONS for side in ("", "_low", "_high"))
HEADER = (
    "system", "kind", "resource", "unit", "capacity", "used", "used_pct",
    "growth_per_day", "growth_per_day_low", "growth_per_day_high", *_FORECASTS,
    "threshold", "days_to_threshold", "days_to_threshold_low", "days_to_threshold_high",
    "verdict", "method", "covered_pct", "samples", "first", "last", "recommended_action",
)  # fmt: skip
ATTRIBUTION_HEADER = (
    "system", "database", "resource", "unit", "used", "growth", "days", "share_pct", "growth_per_day", "verdict",
)  # fmt: skip
ACCURACY_HEADER = (
    "system", "kind", "resource", "unit", "horizon_days", "made_on", "forecast_for", "forecast", "forecast_low",
    "forecast_high", "came", "error", "error_pct", "held",
)  # fmt: skip
# What a table grew is looked at over so many days; forecasts are looked back on at these horizons.
_GROWN_DAYS, _LOOKED_BACK = 30, (30, 90)
Row = dict[str, Any]


def resource_rows(system: str, found: Outlook) -> list[Row]:
    """One row of HEADER per resource: first those that need action, then by kind and name."""
    grid, made = found.grid, found.forecast
    used, capacity = grid.last_used, grid.last_capacity
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(capacity > 0, used / capacity * 100, np.nan)
    gone = found.course == Course.GONE
    figures: dict[str, Floats] = {"capacity": capacity, "used": used, "used_pct": share}
    growth = dict(zip(("growth_per_day", "growth_per_day_low", "growth_per_day_high"), made.growth(), strict=True))
    for days in HORIZONS:
        for side, values in zip(("", "_low", "_high"), made.at(days), strict=True):
            growth[f"forecast_{days}{side}"] = values
    figures |= {name: np.where(gone, np.nan, values) for name, values in growth.items()}
    figures |= {
        "threshold": found.threshold,
        "days_to_threshold": np.round(found.days, 1),
        "days_to_threshold_low": np.round(found.days_low, 1),
        "days_to_threshold_high": np.round(found.days_high, 1),
        "covered_pct": np.round(made.covered * 100),
        "samples": np.isfinite(grid.used).sum(axis=1).astype(np.float64),
    }
    columns: dict[str, list[Any]] = {name: numbers(values) for name, values in figures.items()}
    count = len(grid)
    columns |= {
        "system": [system] * count,
        "kind": grid.kinds.tolist(),
        "resource": grid.resources.tolist(),
        "unit": grid.units.tolist(),
        "verdict": [str(course) for course in found.course],
        "method": [method(found, series) for series in range(count)],
        "first": [str(day) for day in grid.days[grid.first]] if count else [],
        "last": [str(day) for day in grid.days[grid.last]] if count else [],
        "recommended_action": [action(found, series) for series in range(count)],
    }
    urgent = found.urgent_first
    order = [*urgent, *sorted(set(range(count)) - set(urgent))]
    return [{name: columns[name][series] for name in HEADER} for series in order]


def attribution_rows(system: str, found: Outlook) -> list[Row]:
    """What each table of each database added in the last 30 days, the most first, and what else the database did.

    A database's own growth is the whole; what no table explains (indexes of others, TOAST, catalogs, bloat) is one
    row. Tables that came within the time count from nothing.
    """
    grid = found.grid
    width = grid.used.shape[1]
    span = min(_GROWN_DAYS, width - 1)
    then = np.nan_to_num(last_known(grid.used[:, : width - span])) if span else grid.used[:, -1]
    fresh = grid.first >= width - span
    whole = (grid.kinds == "database") & ~fresh
    rows = []
    for database in np.flatnonzero(whole).tolist():
        name = str(grid.resources[database])
        grown = float(grid.last_used[database] - then[database])
        mine = [
            series
            for series in np.flatnonzero((grid.kinds == "table") & (found.course != Course.GONE)).tolist()
            if str(grid.resources[series]).startswith(f"{name}.")
        ]
        growths = {series: float(grid.last_used[series] - then[series]) for series in mine}
        told: list[tuple[str, Any, float, Any, str]] = [
            (
                str(grid.resources[series]), grid.last_used[series], growths[series],
                found.forecast.trend.slope[series], str(found.course[series]),
            )
            for series in sorted(mine, key=lambda one: growths[one], reverse=True)
            if growths[series]
        ]  # fmt: skip
        told.append((f"{name} (everything else)", None, grown - sum(growths.values()), None, ""))
        for resource, used, growth, slope, course in told:
            share = growth / grown * 100 if grown else None
            values = (
                system, name, resource, grid.units[database], number(used), number(growth), span, number(share),
                number(slope), course,
            )  # fmt: skip
            rows.append(dict(zip(ATTRIBUTION_HEADER, values, strict=True)))
    return rows


def accuracy_rows(system: str, found: Outlook) -> list[Row]:
    """What would have been forecast 30 and 90 days ago for today, and what came."""
    grid, made = found.grid, found.forecast
    rows = []
    for horizon in _LOOKED_BACK:
        place = CALIBRATED.index(horizon)
        known = np.flatnonzero(made.origins + horizon < grid.used.shape[1])
        if not len(known):
            continue
        origin = int(known[-1])
        point, half, came = (values[origin, :, place] for values in (made.made, made.made_half, made.came))
        for series in np.flatnonzero(np.isfinite(point) & np.isfinite(came)).tolist():
            error = float(point[series] - came[series])
            low, high = point[series] - half[series], point[series] + half[series]
            if not made.negative[series]:
                low = max(0.0, low)
            values = (
                system, grid.kinds[series], grid.resources[series], grid.units[series], horizon,
                str(grid.days[made.origins[origin]]), str(grid.days[made.origins[origin] + horizon]),
                number(point[series]), number(low), number(high), number(came[series]), number(error),
                number(error / came[series] * 100) if came[series] else None,
                "yes" if low <= came[series] <= high else "no",
            )  # fmt: skip
            rows.append(dict(zip(ACCURACY_HEADER, values, strict=True)))
    return sorted(rows, key=lambda row: (row["horizon_days"], -abs(row["error_pct"] or 0)))
