"""Range queries to Prometheus' HTTP API, under one deadline, tried again only where that may help.

Source of the answers' shape: Prometheus' documentation, "HTTP API".
"""

import json
import math
import time
from datetime import datetime
from typing import Any

import numpy as np

from tasks.base.attachments import Moments, Numbers
from tasks.base.errors import UnreachableError
from tasks.base.prometheus import PrometheusPolicy
from tasks.base.words import Frozen
from tasks.prometheus.http import Asked

# Prometheus refuses a range of more points per series.
MOST_POINTS = 11_000
_TRIES, _PAUSE_SECONDS = 3, 0.5


class Series(Frozen):
    """One series of an answer: moments in UTC, NaN for what is no number."""

    labels: dict[str, str]
    at: Moments
    values: Numbers


class Answer(Frozen):
    """What a range query gave; with `warnings` part of it may be missing."""

    series: tuple[Series, ...]
    step_seconds: float
    warnings: tuple[str, ...] = ()


def range_query(
    policy: PrometheusPolicy, promql: str, start: datetime, end: datetime, step_seconds: float = 15
) -> Answer:
    """The series of a PromQL expression between two moments, in steps of `step_seconds` or what the limit allows.

    Raises UnreachableError when it does not answer in time, RefusedError with Prometheus' own words, ToolFailedError
    for what is no answer of a Prometheus.
    """
    asked = Asked(policy, "Prometheus", "prometheus")
    step = max(step_seconds, float(math.ceil((end - start).total_seconds() / (MOST_POINTS - 1))))
    question = {
        "query": promql, "start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}", "step": f"{step:g}",
        "timeout": f"{policy.deadline_seconds:g}s",
    }  # fmt: skip
    last: UnreachableError | None = None
    for _ in range(_TRIES):
        # Another try needs time of its own, or it would only hide what the last one said.
        if asked.elapsed() > policy.deadline_seconds / 2:
            break
        try:
            return _read(asked, asked.answer("POST", "/api/v1/query_range", question), step)
        except UnreachableError as error:
            last = error
            time.sleep(_PAUSE_SECONDS)
    raise last or UnreachableError(f"{policy.url} was not asked")


def _read(asked: Asked, body: bytes, step: float) -> Answer:
    try:
        answer: Any = json.loads(body)
        found = tuple(_series(one) for one in answer["data"]["result"]) if answer["status"] == "success" else None
        warnings = tuple(map(str, answer.get("warnings", ())))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        found, warnings = None, ()
    if found is None:
        raise asked.no_answer()
    return Answer(series=found, step_seconds=step, warnings=warnings)


def _series(one: Any) -> Series:
    points = np.array([(float(at), float(value)) for at, value in one["values"]], dtype=np.float64).reshape(-1, 2)
    values = np.where(np.isfinite(points[:, 1]), points[:, 1], np.nan)
    at = (points[:, 0] * 1000).round().astype("int64").astype("datetime64[ms]")
    return Series(labels={str(key): str(value) for key, value in one["metric"].items()}, at=at, values=values)
