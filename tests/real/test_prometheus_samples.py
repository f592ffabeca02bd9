"""Metrics asked of a real Prometheus: today's figure, the days before, and a history in CSV beside it."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from flows.capacity_import import capacity_import
from tasks.base.capacity import Metric
from tasks.base.clock import utc_now
from tasks.base.prometheus import PrometheusPolicy
from tasks.base.words import Verdict
from tasks.prometheus.samples import sample_metrics
from tasks.repository import samples
from tasks.repository.local import LocalStore
from tests.real.conftest import change_system
from tests.real.metrics import prometheus

DAYS = 20


def end_of_yesterday():
    return datetime.combine(utc_now().date(), time(), UTC) - timedelta(seconds=1)


def history():
    """Two series of a point a day until now: each grows by 24 a day."""
    points = [
        ((end_of_yesterday() - timedelta(days=day)).timestamp(), (DAYS - day) * 24) for day in range(DAYS, -1, -1)
    ]
    points.append((utc_now().timestamp(), DAYS * 24))
    lines = [f'orders{{shop="{shop}"}} {value} {at:.3f}' for at, value in points for shop in ("a", "b")]
    return "\n".join(["# TYPE orders gauge", *lines, "# EOF", ""])


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    with prometheus(tmp_path_factory.mktemp("prometheus"), history()) as url:
        yield PrometheusPolicy(url=url, deadline_seconds=20)


def test_todays_metrics_are_samples_and_one_that_fails_stops_no_other(policy):
    metrics = [
        Metric(name="orders", promql="sum(orders)", capacity=5000),
        Metric(name="by shop", promql="orders", unit="orders"),
        Metric(name="wrong", promql="sum("),
        Metric(name="nothing", promql="nothing_of_that_name"),
    ]
    found = sample_metrics(policy, metrics)
    assert {one.resource: (one.used, one.capacity, one.unit) for one in found.samples} == {
        "orders": (2 * DAYS * 24, 5000, "count"),
        "by shop shop=a": (DAYS * 24, None, "orders"),
        "by shop shop=b": (DAYS * 24, None, "orders"),
    }
    assert {check.name: check.verdict for check in found.checks} == {
        "metric wrong": Verdict.FAIL, "metric nothing": Verdict.SKIP,
    }  # fmt: skip


def test_its_history_is_imported_a_day_a_sample_and_a_csv_with_broken_rows_beside_it(policy, system, tmp_path):
    change_system(prometheus={"url": policy.url}, capacity={"metrics": [{"name": "orders", "promql": "sum(orders)"}]})
    store = LocalStore(str(system))
    shown = capacity_import("acme", days=400)
    assert shown.headline.startswith("plan only, nothing was changed; ")
    assert samples.read(store, "acme").num_rows == 0
    assert capacity_import("acme", days=400, dry_run=False).verdict is Verdict.OK
    rows = samples.read(store, "acme").to_pylist()
    assert len(rows) == DAYS + 1
    assert {row["resource"] for row in rows} == {"orders"}
    growth = [later["used"] - former["used"] for former, later in pairwise(rows)]
    assert growth == [48] * len(growth)
    assert rows[-1]["day"] == utc_now().date() - timedelta(days=1)
    again = capacity_import("acme", days=400, dry_run=False)
    assert f"{len(rows)} of them in place of samples of the same days" in again.headline
    path = tmp_path / "history.csv"
    path.write_text("at,kind,resource,unit,used\n2026-01-01,database,shop,bytes,5\nsoon,database,shop,bytes,6\n")
    result = capacity_import("acme", file=str(path), dry_run=False)
    assert (result.verdict, result.broken[0].line) == (Verdict.WARN, 3)
    assert [row["used"] for row in samples.read(store, "acme").to_pylist() if row["kind"] == "database"] == [5]
