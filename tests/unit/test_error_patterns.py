"""The errors that a performance review tells: of its own days, against what the reviews of logs counted before."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from tasks.base.system import System
from tasks.logs import error_patterns, log_review
from tasks.logs.error_patterns import review_errors
from tasks.platform import pod_logs
from tasks.repository.opening import open_store

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
def system(tmp_path):
    kinds = {"app": "application", "access": "access", "gone": "postgres"}
    sources = [{"name": name, "kind": kind, "files": [f"{tmp_path}/{name}.log"]} for name, kind in kinds.items()]
    return System.model_validate(
        {
            "name": "acme",
            "databases": [{"name": "shop", "dsn": "service=shop"}],
            "repository": {"url": f"file://{tmp_path}/repository"},
            "log_review": {"sources": sources},
        }
    )


def write(tmp_path, moment, text, count=1):
    path = tmp_path / "app.log"
    with path.open("a") as file:
        file.write("".join(f"{(moment + timedelta(seconds=n)).isoformat()} {text}\n" for n in range(count)))
    os.utime(path, (MONDAY.timestamp(), MONDAY.timestamp()))


def at(monkeypatch, moment):
    for module in (log_review, error_patterns):
        monkeypatch.setattr(module, "utc_now", lambda: moment)


def test_recurring_errors_of_the_days_are_told_against_those_before(system, tmp_path, monkeypatch):
    store, fetch = open_store(system.repository), pod_logs.fetcher(system)
    for day in range(20, 7, -1):
        moment = MONDAY - timedelta(days=day)
        at(monkeypatch, moment)
        write(tmp_path, moment - timedelta(hours=2), "ERROR cache is cold", 2)
        write(tmp_path, moment - timedelta(hours=1), "ERROR out of paper")
        for flow in ("security_check", "security_scan"):
            log_review.log_reviews(store, system, flow, f"run{day}", fetch)[0][1]()
    write(tmp_path, MONDAY - timedelta(days=3), "ERROR out of paper", 300)
    write(tmp_path, MONDAY - timedelta(days=2), "ERROR cache is cold", 14)
    write(tmp_path, MONDAY - timedelta(days=1), "ERROR disk is full")
    at(monkeypatch, MONDAY)
    kept = sorted(tmp_path.rglob("*.jsonl"))
    part = review_errors(store, system, "performance_review", 7, fetch)
    told = {(one.target, one.name): one for one in part.checks}
    assert {key: str(one.verdict) for key, one in told.items()} == {("app", "errors"): "WARN", ("gone", "log"): "SKIP"}
    message = told["app", "errors"].message
    assert message == "315 errors of 3 kinds, 1 of them new, 1 rising; 300 times: ERROR out of paper"
    (table,) = part.attachments
    assert [(row["message"], row["state"], row["count"]) for row in table.rows] == [
        ("ERROR out of paper", "rising", 300),
        ("ERROR disk is full", "new", 1),
        ("ERROR cache is cold", "known", 14),
    ]
    # Two flows counted the same lines before, and each line is in one of them: 13 reviews of 2 in 13 days.
    assert table.rows[2]["before_per_hour"] == pytest.approx(26 / (13 * 24), abs=0.01)
    assert sorted(tmp_path.rglob("*.jsonl")) == kept, "the periods of the reviews are theirs"


def test_days_without_an_error_say_how_much_was_looked_at(system, tmp_path, monkeypatch):
    at(monkeypatch, MONDAY)
    write(tmp_path, MONDAY - timedelta(days=1), "INFO all is well", 3)
    part = review_errors(open_store(system.repository), system, "performance_review", 7, pod_logs.fetcher(system))
    (errors,) = [one for one in part.checks if one.name == "errors"]
    assert (str(errors.verdict), errors.message) == ("INFO", "no error in 3 lines")
