"""Firing alerts, from what Alertmanager 0.25 answered of real ones; what is no answer is not called quiet."""

from pathlib import Path

import pytest

from tasks.base.findings import ScanState
from tasks.base.prometheus import AlertmanagerPolicy
from tasks.base.words import Verdict
from tasks.prometheus.alerts import check_alerts
from tests.unit.test_prometheus_answers import faulty

# With a silence of DiskFull, and a rule by which HostDown inhibits Slow of the same instance.
RECORDED = (Path(__file__).parent / "alerts.json").read_text()


def test_what_fires_is_told_by_rule_and_what_nobody_is_told_of_is_information():
    with faulty((200, RECORDED)) as (url, asked):
        scan = check_alerts(AlertmanagerPolicy(url=url))
    assert asked[0][0] == "/api/v2/alerts"
    assert (scan.state, scan.findings) == (ScanState.CLEAN, ())
    assert [(line.target, line.verdict) for line in scan.checks] == [
        ("HostDown", Verdict.FAIL),
        ("Slow", Verdict.WARN),
        ("Strange", Verdict.WARN),
        ("Watchdog", Verdict.INFO),
        ("Alertmanager", Verdict.INFO),
        ("Alertmanager", Verdict.INFO),
    ]
    host, slow, strange, _, silenced, inhibited = scan.checks
    assert host.message == "fires 2 times, since 2026-11-21T14:46:52Z (critical): db2 does not answer"
    assert host.next_command == f'amtool --alertmanager.url={url} alert query alertname="HostDown"'
    assert slow.message == "fires since 2026-11-21T14:46:52Z (warning): p95 is 3 s"
    assert strange.message.endswith("(no severity): instance=db1")
    assert silenced.message == "1 alerts are silenced: DiskFull"
    assert inhibited.message == "1 alerts are inhibited by others: Slow"


def test_what_is_bad_is_a_matter_of_the_system():
    with faulty((200, RECORDED)) as (url, _):
        policy = AlertmanagerPolicy(url=url, severity_label="instance", fail=("db3",), info=("db1", "db2"))
        (red,) = [line for line in check_alerts(policy).checks if line.verdict is Verdict.FAIL]
    assert red.target == "Slow"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, "no"), "answers 401; check security_check.alertmanager.token"),
        ((404, "<html>"), "answers 404; check security_check.alertmanager.url"),
        ((503, "starting"), "answers 503; it is overloaded or starting"),
        ((200, "<html>sign in</html>"), "gives no answer of an Alertmanager"),
        ((200, {"status": "success"}), "gives no answer of an Alertmanager"),
        ((200, [{"labels": {"alertname": "Disk"}}]), "gives no answer of an Alertmanager"),
        (("hang", ""), "gave no whole answer within 0.5 s"),
        ((200, "drip"), "gave no whole answer within 0.5 s"),
        ((200, "drip headers"), "gave no whole answer within 0.5 s"),
    ],
)
def test_an_answer_that_is_none_is_red_in_one_sentence(answer, said):
    with faulty(answer) as (url, _):
        scan = check_alerts(AlertmanagerPolicy(url=url, deadline_seconds=0.5 if "within" in said else 20))
    (line,) = scan.checks
    assert said in line.message
    assert (line.verdict, scan.state) == (Verdict.FAIL, ScanState.INCOMPLETE)
    assert line.next_command == f"curl -sS {url}/api/v2/status"


def test_one_that_is_not_there_or_not_named_is_told():
    with faulty((200, [])) as (url, _):
        assert check_alerts(AlertmanagerPolicy(url=url)).checks[0].verdict is Verdict.OK
    assert "does not answer" in check_alerts(AlertmanagerPolicy(url=url)).checks[0].message
    assert "set security_check.alertmanager.url" in check_alerts(AlertmanagerPolicy()).checks[0].message


def test_a_token_goes_into_the_header_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("ALERT_TOKEN", "planted-token-6")
    with faulty((401, {"error": "planted-token-6 is wrong"})) as (url, asked):
        scan = check_alerts(AlertmanagerPolicy(url=url, token="env:ALERT_TOKEN"))
    assert asked[0][1]["Authorization"] == "Bearer planted-token-6"
    assert "planted-token-6" not in repr(scan)


def test_a_token_of_any_signs_is_sent_as_it_is_and_one_of_two_lines_is_refused_without_being_shown(monkeypatch):
    policy = {"token": "env:ALERT_TOKEN"}
    monkeypatch.setenv("ALERT_TOKEN", "planted ü token")
    with faulty((200, [])) as (url, asked):
        assert check_alerts(AlertmanagerPolicy(url=url, **policy)).checks[0].verdict is Verdict.OK
        assert asked[0][1]["Authorization"].encode("latin-1").decode() == "Bearer planted ü token"
        monkeypatch.setenv("ALERT_TOKEN", "planted-one\nplanted-two")
        scan = check_alerts(AlertmanagerPolicy(url=url, **policy))
    assert (scan.state, len(asked)) == (ScanState.INCOMPLETE, 1)
    assert "env:ALERT_TOKEN holds several lines" in scan.reason
    assert "planted" not in repr(scan)
