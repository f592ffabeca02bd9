"""Metrics of the system file that are asked of Prometheus: today's figure, and the days before."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta

import numpy as np

from tasks.base.capacity import Metric
from tasks.base.clock import utc_now
from tasks.base.errors import NightshiftError, UnreachableError
from tasks.base.prometheus import PrometheusPolicy
from tasks.base.samples import Dated, Sample, Sampled, sampled
from tasks.base.words import CheckResult, Verdict
from tasks.prometheus.client import Answer, range_query

_DAY_SECONDS = 86400


def sample_metrics(policy: PrometheusPolicy, metrics: Sequence[Metric]) -> Sampled:
    """Each metric now, one sample for each of its series; one that fails is a check, and the others go on.

    Raises UnreachableError when none of them was answered.
    """
    now = utc_now()
    dated, checks = _asked(metrics, lambda metric: range_query(policy, metric.promql or "", now, now))
    return sampled("prometheus", [one.sample for one in dated], checks)


def metrics_by_day(
    policy: PrometheusPolicy, metrics: Sequence[Metric], days: int, now: datetime
) -> tuple[list[Dated], list[CheckResult]]:
    """Each metric at the end of each of the last days before today, as far back as Prometheus remembers.

    Raises as `sample_metrics` does.
    """
    end = datetime.combine(now.astimezone(UTC).date(), time(), UTC) - timedelta(seconds=1)
    start = end - timedelta(days=days - 1)
    return _asked(metrics, lambda metric: range_query(policy, metric.promql or "", start, end, _DAY_SECONDS))


def _asked(metrics: Sequence[Metric], question: Callable[[Metric], Answer]) -> tuple[list[Dated], list[CheckResult]]:
    found: list[Dated] = []
    checks: list[CheckResult] = []
    for metric in metrics:
        try:
            answer = question(metric)
            answered = [] if answer.warnings else _dated(metric, answer)
        except NightshiftError as error:
            if isinstance(error, UnreachableError) and not found:
                raise
            checks.append(_said(metric, Verdict.FAIL, str(error)))
            continue
        if answer.warnings:
            message = f"Prometheus answered in part, which is not taken for the whole: {answer.warnings[0]}"
            checks.append(_said(metric, Verdict.INCOMPLETE, message))
        elif not answered:
            message = "Prometheus has no figure for it; look at its expression, and whether its target is scraped"
            checks.append(_said(metric, Verdict.SKIP, message))
        found += answered
    return found, checks


def _dated(metric: Metric, answer: Answer) -> list[Dated]:
    """A metric of one series without labels keeps its name; of several each carries its labels."""
    return [
        Dated(
            at=at.item().replace(tzinfo=UTC),
            sample=Sample(
                kind="metric",
                resource=_name(metric.name, one.labels),
                unit=metric.unit,
                used=float(value),
                capacity=metric.capacity,
            ),
        )
        for one in answer.series
        for at, value in zip(one.at, one.values, strict=True)
        if np.isfinite(value)
    ]


def _name(name: str, labels: dict[str, str]) -> str:
    return " ".join([name, *(f"{label}={value}" for label, value in sorted(labels.items()) if label != "__name__")])


def _said(metric: Metric, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name=f"metric {metric.name}", target="prometheus", verdict=verdict, message=message)
