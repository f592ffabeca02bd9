"""The trends of a review: each figure's mean over a period against the period before, and against its limit."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from tasks.base.attachments import Attachment, Event, Limit, Line, LineChart, Table
from tasks.base.clock import utc_now
from tasks.base.errors import NightshiftError
from tasks.base.performance import Part
from tasks.base.prometheus import PrometheusPolicy, Ready, Trend
from tasks.base.units import human
from tasks.base.words import CheckResult, Verdict
from tasks.prometheus.client import Answer, Series, range_query

HEADER = (
    "trend", "labels", "unit", "days", "mean", "before_mean", "change_pct", "maximum", "limit", "measured_share",
    "verdict",
)  # fmt: skip
_UNITS = {"mean": "@unit", "before_mean": "@unit", "maximum": "@unit", "limit": "@unit"}
_POINTS, _LEAST_STEP_SECONDS = 1000, 60
_SERIES = 8
_READY_UNITS = {Ready.ERROR_RATE: "share", Ready.THROUGHPUT: "requests/s"}
Row = dict[str, Any]


def review_trends(policy: PrometheusPolicy, system: str, days: float) -> Part:
    """Every trend over `days` and the configured periods. Nobody asked is INFO; a trend without data is SKIP."""
    if policy.url is None or not policy.trends:
        message = (
            "not asked: the system file names no Prometheus or no trends; set prometheus.url and prometheus.trends"
        )
        return Part(checks=(CheckResult(name="trends", target=system, verdict=Verdict.INFO, message=message),))
    until = utc_now()
    checks: list[CheckResult] = []
    rows: list[Row] = []
    pictures: list[Attachment] = []
    for trend in policy.trends:
        for period in sorted({float(days), *map(float, policy.periods_days)}):
            try:
                answer = _asked(policy, trend, until, period)
            except NightshiftError as error:
                checks.append(_check(trend, Verdict.FAIL, str(error)))
                break
            compared = [_row(trend, one, until, period, answer.step_seconds) for one in answer.series[:_SERIES]]
            rows += compared
            checks += _checks(trend, answer, compared, period)
        else:
            pictures += _picture(trend, answer, until - timedelta(days=period))
    table = Table(name="trends", title="Application trends", header=HEADER, rows=tuple(rows), units=_UNITS)
    return Part(checks=tuple(checks), attachments=(*pictures, table) if rows else ())


def expression(policy: PrometheusPolicy, trend: Trend) -> str:
    """The PromQL of a trend; of a ready one written for the configured histogram."""
    if trend.ready is None:
        return trend.promql or ""
    metrics = policy.requests
    failed = ",".join(part for part in (metrics.selector, metrics.errors) if part)
    total = f"sum(rate({metrics.histogram}_count{{{metrics.selector}}}[5m]))"
    if trend.ready is Ready.THROUGHPUT:
        return total
    if trend.ready is Ready.ERROR_RATE:
        # Where no request failed there is no series, which is a rate of nought.
        return f"(sum(rate({metrics.histogram}_count{{{failed}}}[5m])) or {total} * 0) / {total}"
    quantile = int(trend.ready.value[1:]) / 100
    return f"histogram_quantile({quantile}, sum by (le) (rate({metrics.histogram}_bucket{{{metrics.selector}}}[5m])))"


def _asked(policy: PrometheusPolicy, trend: Trend, until: datetime, days: float) -> Answer:
    """The period and the one before it, in one question."""
    step = max(_LEAST_STEP_SECONDS, round(2 * days * 86400 / _POINTS))
    return range_query(policy, expression(policy, trend), until - timedelta(days=2 * days), until, step)


def _row(trend: Trend, series: Series, until: datetime, days: float, step_seconds: float) -> Row:
    """The figures of one series, with the verdict on them; a figure that is not known is empty."""
    begin = np.datetime64((until - timedelta(days=days)).replace(tzinfo=None))
    known = np.isfinite(series.values)
    now, before = series.values[known & (series.at >= begin)], series.values[known & (series.at < begin)]
    mean = float(now.mean()) if len(now) else None
    former = float(before.mean()) if len(before) else None
    change = 100 * (mean - former) / abs(former) if mean is not None and former else None
    return {
        "trend": trend.name,
        "labels": " ".join(f"{key}={value}" for key, value in sorted(series.labels.items())),
        "unit": _unit(trend),
        "days": days,
        "mean": mean,
        "before_mean": former,
        "change_pct": change,
        "maximum": float(now.max()) if len(now) else None,
        "limit": trend.limit,
        "measured_share": min(1.0, len(now) * step_seconds / (days * 86400)),
        "verdict": _verdict(trend, mean, former, change),
    }


def _verdict(trend: Trend, mean: float | None, former: float | None, change_pct: float | None) -> Verdict:
    sign = -1 if trend.falling_is_worse else 1
    if mean is None:
        return Verdict.SKIP
    if trend.limit is not None and sign * mean > sign * trend.limit:
        return Verdict.WARN
    if trend.worse_pct is None:
        return Verdict.OK
    if former is None:
        return Verdict.SKIP
    # Of nought there is no percentage: whatever came of it is a change.
    worse = sign * mean > 0 if change_pct is None else sign * change_pct > trend.worse_pct
    return Verdict.WARN if worse else Verdict.OK


def _checks(trend: Trend, answer: Answer, rows: Sequence[Row], days: float) -> Iterator[CheckResult]:
    """One sentence per series, and one for all that keeps the answer from being the whole."""
    if not rows:
        yield _check(trend, Verdict.SKIP, f"no data in {2 * days:g} days; try its query in Prometheus' own page")
    if answer.warnings:
        yield _check(trend, Verdict.INCOMPLETE, f"Prometheus warns that part is missing: {answer.warnings[0][:200]}")
    if len(answer.series) > _SERIES:
        yield _check(
            trend, Verdict.INCOMPLETE, f"{len(answer.series)} series, {_SERIES} are shown; aggregate the query"
        )
    for row in rows:
        yield _check(trend, row["verdict"], _sentence(row))


def _sentence(row: Row) -> str:
    place = f" of {row['labels']}" if row["labels"] else ""
    if row["mean"] is None:
        return f"nothing was measured{place} in the last {row['days']:g} days"
    said = f"{human(row['mean'], row['unit'])} on average{place} over {row['days']:g} days"
    if row["before_mean"] is None:
        said += ", no figures of the period before to compare with"
    elif row["change_pct"] is None:
        said += ", nought before"
    else:
        said += f", {row['change_pct']:+.1f} % against {human(row['before_mean'], row['unit'])} before"
    if row["limit"] is not None:
        said += f"; the limit is {human(row['limit'], row['unit'])}"
    return said if row["measured_share"] > 0.9 else f"{said}; measured in {row['measured_share']:.0%} of the time"


def _picture(trend: Trend, answer: Answer, begin: datetime) -> list[Attachment]:
    lines = tuple(
        Line(name=" ".join(one.labels.values()) or trend.name, at=one.at, values=one.values)
        for one in answer.series[:_SERIES]
    )
    limits = (Limit(name="limit", value=trend.limit),) if trend.limit is not None else ()
    events = (Event(name="this period", at=begin),)
    chart = LineChart(
        name=f"trend_{trend.name}", title=trend.name, unit=_unit(trend), lines=lines, limits=limits, events=events
    )
    return [chart] if lines else []


def _unit(trend: Trend) -> str:
    return trend.unit if trend.ready is None else _READY_UNITS.get(trend.ready, "seconds")


def _check(trend: Trend, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="trend", target=trend.name, verdict=verdict, message=message)
