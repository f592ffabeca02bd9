"""Where a system's Prometheus is and which trends are watched: the `prometheus` part of a system file."""

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from tasks.base.secrets import Reference, mask
from tasks.base.words import Frozen


class Ready(StrEnum):
    """Trends of a request histogram whose PromQL needs not be written."""

    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    ERROR_RATE = "error_rate"
    THROUGHPUT = "throughput"


class RequestMetrics(Frozen):
    """The histogram that an application keeps of its requests."""

    histogram: str = Field(
        default="http_request_duration_seconds",
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        description="Its name without _bucket and _count; durations in seconds",
    )
    selector: str = Field(default="", description='Label matchers of the application, e.g. job="shop"')
    errors: str = Field(default='status=~"5.."', description="Label matchers of failed requests")


class Trend(Frozen):
    """A figure over time, held against the period before and against a limit."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="Name in the report and of its picture")
    ready: Ready | None = Field(default=None, description="One of the ready ones, of `requests`")
    promql: str | None = Field(default=None, description="Or any PromQL that gives one series, or few")
    unit: str = Field(default="", description="Of `promql`: bytes, ms, seconds, share, %, or any word")
    worse_pct: float | None = Field(
        default=25, gt=0, description="A mean that is worse by more than so many % than in the period before is WARN"
    )
    falling_is_worse: bool = Field(default=False, description="For figures that ought to be high, e.g. a hit rate")
    limit: float | None = Field(default=None, description="A mean beyond this is WARN, in the unit")

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.ready is None) == (self.promql is None):
            raise ValueError("a trend needs either ready or promql")
        return self


class MetricsServer(Frozen):
    """A server of Prometheus' family, and who asks it."""

    url: str | None = Field(default=None, description="http(s)://host:port[/prefix]; none: it is not asked")
    token: Reference | None = Field(default=None, description="Bearer token")
    username: str | None = Field(default=None, description="For basic authentication")
    password: Reference | None = Field(default=None, description="For basic authentication")
    deadline_seconds: float = Field(default=60, gt=0, description="Total time for one question, in seconds")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith(("http://", "https://")) or mask(value) != value):
            raise ValueError("write http(s)://host:port without a password; use token, or username and password")
        return value and value.rstrip("/")


class PrometheusPolicy(MetricsServer):
    """How Prometheus is asked."""

    requests: RequestMetrics = Field(default_factory=RequestMetrics, description="What ready trends are of")
    trends: tuple[Trend, ...] = Field(default=(), description="The trends of a performance review")
    periods_days: tuple[int, ...] = Field(
        default=(7, 30), description="Each is compared with the period of the same length before it, in days"
    )


class AlertmanagerPolicy(MetricsServer):
    """How Alertmanager is asked, and how bad it is what fires."""

    severity_label: str = Field(default="severity", description="The label of alerts that says how bad they are")
    fail: tuple[str, ...] = Field(default=("critical", "page"), description="Values of it that are FAIL")
    info: tuple[str, ...] = Field(default=("info", "none"), description="Values of it that are INFO; all others: WARN")
