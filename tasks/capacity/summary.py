"""What a person reads first: the checks of a report, and the three things to do."""

from collections import Counter
from datetime import date

import numpy as np

from tasks.base.units import human
from tasks.base.words import CheckResult, Verdict
from tasks.capacity.histories import Histories
from tasks.capacity.outlook import Course, Outlook, action

_THINGS = 3
# Samples are taken daily: an older newest one says that they are not.
_STALE_DAYS = 2


def checks(system: str, found: Outlook, horizon_days: int) -> list[CheckResult]:
    """One WARN per alert, what is not known as SKIP with how to settle it, and one line for all the rest."""
    grid = found.grid
    if not len(grid):
        message = "there are no samples in this period, so nothing is known"
        return [_check(system, "samples", Verdict.SKIP, message, f"nightshift run capacity_sample system={system}")]
    counts = Counter(str(course) for course in found.course)
    told = ", ".join(f"{count} {course}" for course, count in sorted(counts.items(), key=lambda one: -one[1]))
    near = [series for series in found.urgent_first if not found.alert[series]]
    result = [_alert(found, series) for series in found.urgent_first if found.alert[series]]
    result += _stale(system, grid)
    result += _left_out(system, grid)
    result += _unknown(system, found)
    if near:
        first = f"{_name(found, near[0])}: {sentence(found, near[0])}"
        message = f"{len(near)} more reach their threshold within {horizon_days} days, first {first}"
        result.append(_check(system, "planning", Verdict.INFO, message))
    return [*result, _check(system, "forecast", Verdict.OK, f"{len(grid)} resources: {told}")]


def things_to_do(found: Outlook) -> tuple[str, ...]:
    """At most three sentences, the most urgent first."""
    return tuple(
        f"{_name(found, one)}: {action(found, one)} ({sentence(found, one)})" for one in found.urgent_first[:_THINGS]
    )


def sentence(found: Outlook, series: int) -> str:
    """Where a resource stands and where it goes, behind its name, in units that people read."""
    grid, unit = found.grid, str(found.grid.units[series])
    used, capacity = float(grid.last_used[series]), float(grid.last_capacity[series])
    share = f"{used / capacity:.0%} full ({human(used, unit)} of {human(capacity, unit)})"
    threshold = f"its threshold of {human(float(found.threshold[series]), unit)}"
    rest = f"is past {threshold}"
    if not found.passed[series]:
        early, late = float(found.days_low[series]), float(found.days_high[series])
        until = f" to {late:.0f}" if np.isfinite(late) else " or more, perhaps never"
        rest = f"reaches {threshold} in {float(found.days[series]):.0f} days ({early:.0f}{until})"
    slope = float(found.forecast.trend.slope[series])
    growth = f", grows by {human(slope, unit)} a day" if found.course[series] == Course.GROWING else ""
    return f"{share}{growth} and {rest}"


def _alert(found: Outlook, series: int) -> CheckResult:
    grid = found.grid
    return CheckResult(
        name="capacity",
        target=_name(found, series),
        verdict=Verdict.WARN,
        message=f"{sentence(found, series)}; {action(found, series)}",
        value=float(grid.last_used[series]),
        unit=str(grid.units[series]),
        threshold=float(found.threshold[series]),
    )


def _name(found: Outlook, series: int) -> str:
    return f"{found.grid.kinds[series]} {found.grid.resources[series]}"


def _check(system: str, name: str, verdict: Verdict, message: str, command: str = "") -> CheckResult:
    return CheckResult(name=name, target=system, verdict=verdict, message=message, next_command=command)


def _stale(system: str, grid: Histories) -> list[CheckResult]:
    newest: date = grid.days[grid.last.max()].astype(date)
    today: date = grid.days[-1].astype(date)
    if (today - newest).days <= _STALE_DAYS:
        return []
    message = f"the newest sample is of {newest}, {(today - newest).days} days before {today}: sampling does not run"
    return [_check(system, "samples", Verdict.WARN, message, f"nightshift run capacity_sample system={system}")]


def _left_out(system: str, grid: Histories) -> list[CheckResult]:
    found = []
    if grid.future:
        message = f"{grid.future} samples are dated after {grid.days[-1]} and were left out: a clock was wrong, or is"
        found.append(_check(system, "samples", Verdict.WARN, message))
    if grid.unusable:
        message = f"{grid.unusable} samples hold no number and were left out"
        found.append(_check(system, "samples", Verdict.WARN, message))
    return found


def _unknown(system: str, found: Outlook) -> list[CheckResult]:
    """What has a limit and too few samples is not known to be well."""
    limited = np.isfinite(found.threshold) & (found.course == Course.UNKNOWN) & ~found.passed
    places = np.flatnonzero(limited).tolist()
    if not places:
        return []
    message = (
        f"{len(places)} resources with a limit have fewer than 7 samples in 90 days, e.g. {_name(found, places[0])}; "
        "nothing is forecast for them yet"
    )
    return [_check(system, "not enough data", Verdict.SKIP, message)]
