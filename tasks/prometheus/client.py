"""Range queries to Prometheus' HTTP API, under one deadline, tried again only where that may help.

Source of the answers' shape: Prometheus' documentation, "HTTP API".
"""

import json
import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import numpy as np

from tasks.base.attachments import Moments, Numbers
from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, RefusedError, ToolFailedError, UnreachableError
from tasks.base.prometheus import PrometheusPolicy
from tasks.base.secrets import resolve
from tasks.base.words import Frozen

# Prometheus refuses a range of more points per series.
MOST_POINTS = 11_000
_MOST_BYTES = 128 * 1024**2
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
    if policy.url is None:
        raise ConfigurationError("the system file names no Prometheus; set prometheus.url")
    step = max(step_seconds, float(math.ceil((end - start).total_seconds() / (MOST_POINTS - 1))))
    question = {
        "query": promql, "start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}", "step": f"{step:g}",
        "timeout": f"{policy.deadline_seconds:g}s",
    }  # fmt: skip
    elapsed = stopwatch()
    last: UnreachableError | None = None
    for _ in range(_TRIES):
        # Another try needs time of its own, or it would only hide what the last one said.
        if elapsed() > policy.deadline_seconds / 2:
            break
        try:
            return _read(_asked(policy, question, elapsed), step, policy.url)
        except UnreachableError as error:
            last = error
            time.sleep(_PAUSE_SECONDS)
    raise last or UnreachableError(f"{policy.url} was not asked")


def _asked(policy: PrometheusPolicy, question: dict[str, str], elapsed: Callable[[], float]) -> bytes:
    """The body of one answer, read in pieces so that a server that drips keeps nobody beyond the deadline."""
    rest = max(0.1, policy.deadline_seconds - elapsed())
    body = bytearray()
    try:
        with (
            httpx.Client(timeout=rest, headers=_headers(policy), auth=_basic(policy)) as client,
            client.stream("POST", f"{policy.url}/api/v1/query_range", data=question) as answer,
        ):
            for piece in answer.iter_bytes():
                body += piece
                if elapsed() > policy.deadline_seconds:
                    raise UnreachableError(_too_slow(policy))
                if len(body) > _MOST_BYTES:
                    raise ToolFailedError(f"{policy.url} answers more than {_MOST_BYTES} bytes; aggregate the query")
    except httpx.TimeoutException:
        raise UnreachableError(_too_slow(policy)) from None
    except httpx.HTTPError as error:
        raise UnreachableError(f"Prometheus at {policy.url} does not answer ({error}); is it running?") from None
    _check_status(policy, answer.status_code, bytes(body))
    return bytes(body)


def _headers(policy: PrometheusPolicy) -> dict[str, str]:
    return {"Authorization": f"Bearer {resolve(policy.token)}"} if policy.token else {}


def _basic(policy: PrometheusPolicy) -> tuple[str, str] | None:
    return (policy.username, resolve(policy.password)) if policy.username and policy.password else None


def _check_status(policy: PrometheusPolicy, status: int, body: bytes) -> None:
    """Raises for anything but 200, with what Prometheus says itself."""
    if status == 200:
        return
    try:
        said = str(json.loads(body).get("error", ""))
    except (ValueError, AttributeError):
        said = ""
    sentence = f"Prometheus at {policy.url} answers {status}{': ' if said else ''}{said[:300]}"
    if status in (429, 502, 503, 504):
        raise UnreachableError(f"{sentence}; it is overloaded or starting, try again later")
    if status in (401, 403):
        raise RefusedError(f"{sentence}; check prometheus.token, or username and password")
    if status in (400, 422):
        raise RefusedError(f"{sentence}; correct the query in the system file")
    raise RefusedError(f"{sentence}; check prometheus.url")


def _read(body: bytes, step: float, url: str) -> Answer:
    try:
        answer: Any = json.loads(body)
        found = tuple(_series(one) for one in answer["data"]["result"]) if answer["status"] == "success" else None
        warnings = tuple(map(str, answer.get("warnings", ())))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        found, warnings = None, ()
    if found is None:
        raise ToolFailedError(f"{url} gives no answer of a Prometheus; check prometheus.url")
    return Answer(series=found, step_seconds=step, warnings=warnings)


def _series(one: Any) -> Series:
    points = np.array([(float(at), float(value)) for at, value in one["values"]], dtype=np.float64).reshape(-1, 2)
    values = np.where(np.isfinite(points[:, 1]), points[:, 1], np.nan)
    at = (points[:, 0] * 1000).round().astype("int64").astype("datetime64[ms]")
    return Series(labels={str(key): str(value) for key, value in one["metric"].items()}, at=at, values=values)


def _too_slow(policy: PrometheusPolicy) -> str:
    return (
        f"Prometheus at {policy.url} gave no whole answer within {policy.deadline_seconds:g} s; "
        "make the query cheaper, or raise prometheus.deadline_seconds"
    )
