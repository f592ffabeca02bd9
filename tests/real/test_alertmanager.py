"""Alerts of a real Alertmanager: what fires is told, and what is silenced or inhibited is told apart."""

import shlex
import subprocess
from datetime import timedelta

import httpx
import pytest

from tasks.base.clock import iso, utc_now
from tasks.base.prometheus import AlertmanagerPolicy
from tasks.base.words import Verdict
from tasks.prometheus.alerts import check_alerts
from tests.real.metrics import alertmanager, program


@pytest.fixture
def url(tmp_path):
    with alertmanager(tmp_path) as address:
        yield address


def told(url):
    return [(line.target, line.verdict, line.message.split(" since ")[0]) for line in lines(url)]


def lines(url):
    return check_alerts(AlertmanagerPolicy(url=url)).checks


def listed(url, what):
    """What the next command of that line prints."""
    command = next(line.next_command for line in lines(url) if what in (line.target, line.message))
    words = [program("amtool"), *shlex.split(command)[1:]]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def post(url, kind, body):
    answer = httpx.post(f"{url}/api/v2/{kind}", json=body)
    assert answer.status_code == 200, answer.text


def silence(url, name):
    matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
    times = {"startsAt": iso(utc_now()), "endsAt": iso(utc_now() + timedelta(hours=1))}
    post(url, "silences", {"matchers": [matcher], "createdBy": "ada", "comment": "known", **times})


def test_what_fires_is_told_until_it_is_silenced_inhibited_or_over(url):
    assert told(url) == [("Alertmanager", Verdict.OK, "no alert fires that is neither silenced nor inhibited")]
    fired = [
        {"labels": {"alertname": name, "severity": severity, "instance": instance}, "annotations": {"summary": "so"}}
        for name, severity, instance in (
            ("Disk Full", "warning", "db1"), ("HostDown", "critical", "db2"), ("Slow", "warning", "db2"),
            ("Slow", "warning", "db1"),
        )
    ]  # fmt: skip
    post(url, "alerts", fired)
    inhibited = ("Alertmanager", Verdict.INFO, "1 alerts are inhibited by others: Slow")
    down, slow = ("HostDown", Verdict.FAIL, "fires"), ("Slow", Verdict.WARN, "fires")
    assert told(url) == [down, ("Disk Full", Verdict.WARN, "fires"), slow, inhibited]
    assert [name for name in ("Disk Full", "HostDown") if name in listed(url, "Disk Full")] == ["Disk Full"]
    assert [name for name in ("Slow", "HostDown") if name in listed(url, inhibited[2])] == ["Slow"]
    silence(url, "Disk Full")
    silenced = ("Alertmanager", Verdict.INFO, "1 alerts are silenced: Disk Full")
    assert told(url) == [down, slow, silenced, inhibited]
    assert "ada" in listed(url, silenced[2]), "who silenced it is told"
    post(url, "alerts", [{**one, "endsAt": iso(utc_now() - timedelta(seconds=1))} for one in fired])
    assert [verdict for _, verdict, _ in told(url)] == [Verdict.OK], "all is over"
