"""Trends asked of a real Prometheus with a history of four days, in which the last two became slower."""

from datetime import timedelta

import numpy as np
import pytest

from flows.performance_review import performance_review
from tasks.base.clock import utc_now
from tasks.base.errors import RefusedError
from tasks.base.prometheus import PrometheusPolicy
from tasks.prometheus.client import MOST_POINTS, range_query
from tasks.prometheus.trends import review_trends
from tests.real.conftest import write_system
from tests.real.metrics import prometheus

TRENDS = [
    {"name": "p95", "ready": "p95", "limit": 0.5},
    {"name": "errors", "ready": "error_rate", "limit": 0.005},
    {"name": "throughput", "ready": "throughput"},
    {"name": "logins", "promql": "logins", "unit": "logins", "falling_is_worse": True},
    {"name": "gone", "promql": "no_such_metric"},
]


def history(now):
    """A minute apart: 100 requests of up to 0.1 s, in the last two days up to 0.2 s and one of them an error."""
    lines = ["# TYPE http_request_duration_seconds histogram"]
    moments = [now - 4 * 86400 + 60 * n for n in range(4 * 1440)]
    slow = [max(0, n - 2 * 1440) for n in range(4 * 1440)]
    for le, counts in (
        ("0.1", [100 * (n - later) for n, later in enumerate(slow)]),
        ("0.2", [100 * n for n in range(4 * 1440)]),
        ("+Inf", [100 * n for n in range(4 * 1440)]),
    ):
        name = f'http_request_duration_seconds_bucket{{status="200",le="{le}"}}'
        lines += [f"{name} {count} {at}" for at, count in zip(moments, counts, strict=True)]
    for status, counts in (("200", [100 * n for n in range(4 * 1440)]), ("500", slow)):
        name = f'http_request_duration_seconds_count{{status="{status}"}}'
        lines += [f"{name} {count} {at}" for at, count in zip(moments, counts, strict=True)]
    lines.append("# TYPE logins gauge")
    # Nothing was measured in the first two days.
    lines += [f"logins 50 {at}" for at in moments[2 * 1440 :]]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with prometheus(tmp_path_factory.mktemp("prometheus"), history(int(utc_now().timestamp()))) as address:
        yield address


def policy(url, **changes):
    return PrometheusPolicy(**({"url": url, "trends": TRENDS, "periods_days": [2]} | changes))


def test_what_became_worse_than_in_the_period_before_is_told_and_what_is_not_known_is_no_green(url):
    part = review_trends(policy(url), "acme", 2)
    verdicts = {check.target: str(check.verdict) for check in part.checks}
    assert verdicts == {"p95": "WARN", "errors": "WARN", "throughput": "OK", "logins": "SKIP", "gone": "SKIP"}
    rows = {row["trend"]: row for row in part.attachments[-1].rows}
    assert rows["p95"]["before_mean"] == pytest.approx(0.095, rel=0.02)
    assert rows["p95"]["mean"] == pytest.approx(0.195, rel=0.02)
    assert rows["p95"]["change_pct"] == pytest.approx(105, abs=5)
    assert rows["errors"]["before_mean"] == pytest.approx(0, abs=1e-4)
    assert rows["throughput"]["mean"] == pytest.approx(101 / 60, rel=0.02)
    assert rows["p95"]["measured_share"] > 0.98
    assert {one.name for one in part.attachments[:-1]} == {
        "trend_p95",
        "trend_errors",
        "trend_throughput",
        "trend_logins",
    }


def test_a_range_of_a_year_in_seconds_is_asked_in_steps_that_prometheus_allows(url):
    until = utc_now()
    answer = range_query(policy(url), "logins", until - timedelta(days=365), until, 1)
    assert 365 * 86400 / answer.step_seconds < MOST_POINTS
    (series,) = answer.series
    assert np.all(series.values == 50)
    assert np.all(np.diff(series.at) > np.timedelta64(0))


def test_a_wrong_query_is_refused_with_the_words_of_prometheus(url):
    until = utc_now()
    with pytest.raises(RefusedError, match=r"answers 400: .*parse error.*correct the query"):
        range_query(policy(url), "sum(", until - timedelta(days=1), until)


def test_the_review_holds_the_trends_with_their_pictures(url, shop, tmp_path, monkeypatch):
    folder, place = tmp_path / "systems", tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
    metrics = {"url": url, "trends": TRENDS, "periods_days": [2]}
    write_system(folder, shop, place, "age1x", prometheus=metrics)
    result = performance_review("acme", days=2, return_state=True)
    assert result.name == "With warnings", result.message
    (report,) = place.glob("acme/reports/performance_review/*/trends.csv")
    assert "p95,,seconds,2.0,0.1" in report.read_text()
    assert report.with_name("trend_p95.png").read_bytes().startswith(b"\x89PNG")
    page = report.with_name("report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "195 ms" in page
