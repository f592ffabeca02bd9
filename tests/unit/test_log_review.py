"""The review of logs over several days: what is told, what lasts, and that silence is never called good."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from tasks.base.findings import ScanState
from tasks.base.system import System
from tests.unit.log_reviewing import review_at

DAY = datetime(2026, 11, 10, 8, tzinfo=UTC)


class Platform:
    """A system with one log, reviewed at any time."""

    def __init__(self, folder, monkeypatch, **policy):
        self.folder, self.monkeypatch, self.runs = folder, monkeypatch, 0
        self.configure(**policy)

    def configure(self, kind="access", files="*", policy=None, **source):
        self.system = System.model_validate(
            {
                "name": "acme",
                "databases": [{"name": "shop", "dsn": "service=shop"}],
                "repository": {"url": f"file://{self.folder}/repository"},
                "log_review": {
                    "sources": [{"name": "web", "kind": kind, "files": [f"{self.folder}/logs/{files}"], **source}],
                    **(policy or {}),
                },
            }
        )
        (self.folder / "logs").mkdir(exist_ok=True)

    def write(self, text, name="access.log"):
        with (self.folder / "logs" / name).open("a") as file:
            file.write(text)

    def requests(self, at, count=1, path="/", status=200, source="203.0.113.9", method="GET"):
        for number in range(count):
            moment = at + timedelta(seconds=number / max(1, count) * 3000)
            time = moment.strftime("%d/%b/%Y:%H:%M:%S +0000")
            self.write(f'{source} - - [{time}] "{method} {path} HTTP/1.1" {status} 5 "-" "-"\n')

    def review(self, now, flow="security_check", run_id=None, *, told=True):
        self.runs += 1
        for path in (self.folder / "logs").iterdir():
            os.utime(path, (now.timestamp(), now.timestamp()))
        return review_at(self.monkeypatch, self.system, now, flow, run_id or f"run{self.runs}", told=told)


@pytest.fixture
def platform(tmp_path, monkeypatch):
    return Platform(tmp_path, monkeypatch)


def lines(scan):
    return {check.name: check for check in scan.checks}


def verdicts(scan):
    return {name: str(check.verdict) for name, check in lines(scan).items()}


def days(platform, count=4, per_hour=10):
    """So many days of the same traffic, each reviewed on its morning; when the last one was."""
    now = DAY
    for _ in range(count):
        for hour in range(24):
            platform.requests(now - timedelta(hours=hour + 1), per_hour)
        platform.review(now)
        now += timedelta(days=1)
    return now - timedelta(days=1)


def test_the_first_review_tells_what_is_there_and_that_bursts_need_history(platform):
    platform.requests(DAY - timedelta(hours=2), 5)
    platform.requests(DAY - timedelta(hours=30), 5)
    scan = platform.review(DAY)
    assert scan.state is ScanState.CLEAN
    assert verdicts(scan) == {
        "log": "OK", "failed logins": "OK", "requests": "OK", "known attacks": "OK", "bursts": "SKIP",
    }  # fmt: skip
    assert lines(scan)["log"].message.startswith("5 lines since 2026-11-09T07:55:00Z")
    assert "48 are needed" in lines(scan)["bursts"].message


def test_every_line_is_in_exactly_one_period_of_a_flow(platform):
    seen = []
    for hour in range(1, 30):
        platform.requests(DAY + timedelta(hours=hour), 7)
        if hour % 5 == 0:
            seen.append(platform.review(DAY + timedelta(hours=hour, minutes=10)))
    seen.append(platform.review(DAY + timedelta(hours=32)))
    counted = [int(lines(scan)["log"].message.split()[0]) for scan in seen]
    assert sum(counted) == 29 * 7
    # Another flow has its own periods, and a second try of a run repeats the first.
    assert lines(platform.review(DAY + timedelta(hours=24), "security_scan", "a"))["log"].message.startswith(
        "161 lines"
    )
    assert lines(platform.review(DAY + timedelta(hours=24), "security_scan", "a"))["log"].message.startswith(
        "161 lines"
    )


def test_what_a_run_counted_that_was_killed_before_its_report_is_told_by_the_next(platform):
    platform.requests(DAY - timedelta(hours=1), 5)
    platform.review(DAY, told=False)
    platform.requests(DAY + timedelta(hours=1), 7)
    scan = platform.review(DAY + timedelta(hours=3), told=False)
    assert lines(scan)["log"].message.startswith("12 lines since 2026-11-09T07:55:00Z")
    platform.requests(DAY + timedelta(hours=4), 2)
    assert lines(platform.review(DAY + timedelta(hours=6)))["log"].message.startswith("14 lines since 2026-11-09")
    platform.requests(DAY + timedelta(hours=7), 1)
    assert lines(platform.review(DAY + timedelta(hours=9)))["log"].message.startswith("1 lines since 2026-11-10T13")


def test_no_line_is_left_out_when_reviews_pause_for_longer_than_the_history_that_hours_are_held_against(platform):
    platform.configure(policy={"history_days": 3})
    platform.requests(DAY - timedelta(hours=1), 5)
    platform.review(DAY)
    for day in range(1, 10):
        platform.requests(DAY + timedelta(days=day, hours=-1), 5)
    assert lines(platform.review(DAY + timedelta(days=9)))["log"].message.startswith("45 lines since 2026-11-10T07:55")


def test_an_hour_beyond_the_logs_own_history_is_a_burst(platform):
    last = days(platform)
    for hour in range(24):
        platform.requests(last + timedelta(hours=hour + 0.2), 10)
    platform.requests(last + timedelta(hours=5, minutes=10), 40, "/a", 404)
    scan = platform.review(last + timedelta(days=1))
    found = [check for check in scan.checks if check.name == "bursts"]
    assert [check.message.split(" in ")[0] for check in found] == ["40 4xx", "50 requests"]
    assert {str(check.verdict) for check in found} == {"WARN"}
    assert found[1].threshold == 30
    calm = platform.review(last + timedelta(days=1, hours=1))
    assert verdicts(calm)["bursts"] == "OK"


def test_an_hour_that_two_reviews_share_is_one_hour(platform):
    days(platform)
    nine = datetime(2026, 11, 13, 9, tzinfo=UTC)
    for minute in (*range(15), *range(35, 50)):
        platform.requests(nine + timedelta(minutes=minute), 1, "/a", 404)
    first = platform.review(nine + timedelta(minutes=30))
    assert "15 4xx" not in str([check.message for check in first.checks if check.name == "bursts"])
    second = platform.review(nine + timedelta(hours=2))
    assert [check.message.split(" in ")[0] for check in second.checks if check.name == "bursts"] == [
        "30 4xx",
        "30 requests",
    ]


def test_silence_is_never_good(platform):
    scan = platform.review(DAY)
    assert (scan.state, verdicts(scan)) == (ScanState.INCOMPLETE, {"log": "SKIP"})
    assert "was written since" in scan.reason
    platform.write("")
    assert verdicts(platform.review(DAY)) == {"log": "SKIP"}
    last = days(platform)
    silent = platform.review(last + timedelta(days=1))
    assert (silent.state, verdicts(silent)) == (ScanState.INCOMPLETE, {"log": "INCOMPLETE"})
    assert "the newest is of 2026-11-13T07:4" in silent.reason


def test_a_log_that_is_mostly_unreadable_is_incomplete_and_read_again(platform):
    platform.requests(DAY - timedelta(hours=1), 5)
    platform.write("garbage\n" * 20)
    scan = platform.review(DAY)
    assert (scan.state, verdicts(scan)["log"]) == (ScanState.INCOMPLETE, "INCOMPLETE")
    assert "20 of 25 lines say nothing" in scan.reason
    (platform.folder / "logs" / "access.log").unlink()
    platform.requests(DAY - timedelta(hours=1), 5)
    platform.write("garbage\n")
    scan = platform.review(DAY + timedelta(days=3))
    assert lines(scan)["log"].message.startswith("5 lines since 2026-11-09T07:55")
    assert verdicts(scan)["unreadable lines"] == "WARN"


def test_an_unreadable_or_cut_file_is_incomplete_and_what_was_seen_is_told(platform):
    platform.requests(DAY - timedelta(hours=1), 5, "/.git/config", 200)
    (platform.folder / "logs" / "old.gz").write_bytes(b"\x1f\x8b\x08\0cut")
    scan = platform.review(DAY)
    assert scan.state is ScanState.INCOMPLETE
    assert "old.gz is cut or damaged" in scan.reason
    assert [finding.rule for finding in scan.findings] == ["served-attack"]
    assert verdicts(scan)["known attacks"] == "WARN"


def test_a_served_attack_stays_a_finding_until_it_is_refused(platform):
    platform.requests(DAY - timedelta(hours=1), 1, "/.env")
    platform.requests(DAY - timedelta(hours=1), 30, "/wp-login.php", 404)
    scan = platform.review(DAY)
    (finding,) = scan.findings
    assert (finding.rule, finding.severity, finding.location) == ("served-attack", "HIGH", "/.env")
    platform.requests(DAY + timedelta(hours=1))
    quiet = platform.review(DAY + timedelta(days=1))
    assert [one.identity for one in quiet.findings] == [finding.identity], "that nobody asked proves nothing"
    platform.requests(DAY + timedelta(hours=26), 1, "/.env", 404)
    assert platform.review(DAY + timedelta(days=2)).state is ScanState.CLEAN
    platform.requests(DAY + timedelta(hours=50), 1, "/.env")
    assert platform.review(DAY + timedelta(days=3)).findings[0].identity == finding.identity
    platform.configure(expected_paths=["/.env"])
    platform.requests(DAY + timedelta(hours=74))
    assert platform.review(DAY + timedelta(days=4)).state is ScanState.CLEAN


def test_no_text_of_an_attacker_stands_bare_in_a_command(platform):
    platform.requests(DAY - timedelta(hours=1), 1, "/.git/$(reboot)';reboot")
    platform.requests(DAY - timedelta(hours=1), 12, "/login", 401, "$(reboot)", "POST")
    scan = platform.review(DAY)
    assert lines(scan)["known attacks"].next_command == "curl -sI 'https://HOST/.git/$(reboot)'\"'\"''"
    assert "reboot" not in lines(scan)["failed logins"].next_command + lines(scan)["failed logins"].message


def test_a_login_after_many_failures_is_a_finding_for_a_month(platform):
    platform.configure(kind="sshd", files="auth.log")
    text = "Nov 10 07:00:0{} web1 sshd[1]: {} password for ada from 203.0.113.9 port 9 ssh2\n"
    platform.write("".join(text.format(n, "Failed") for n in range(9)) + text.format(9, "Failed") * 3, "auth.log")
    platform.write(text.format(9, "Accepted"), "auth.log")
    scan = platform.review(DAY)
    (finding,) = scan.findings
    assert (finding.rule, finding.location) == ("login-after-failures", "ada from 203.0.113.9 at 2026-11-10T07:00:09Z")
    assert verdicts(scan)["failed logins"] == verdicts(scan)["login after failures"] == "WARN"
    assert "12 from 203.0.113.9" in lines(scan)["failed logins"].message
    platform.write("Nov 29 07:00:00 web1 sshd[1]: hello\n", "auth.log")
    assert len(platform.review(DAY + timedelta(days=20)).findings) == 1
    platform.write("Dec 12 07:00:00 web1 sshd[1]: hello\n", "auth.log")
    assert platform.review(DAY + timedelta(days=33)).state is ScanState.CLEAN


def test_new_and_rising_kinds_of_errors_are_told_against_the_history(platform):
    platform.configure(kind="application", files="app.log")

    def errors(at, count, text):
        for number in range(count):
            platform.write(f"{(at + timedelta(seconds=number)).isoformat()} ERROR {text.format(number)}\n", "app.log")

    now = DAY
    for _ in range(3):
        errors(now - timedelta(hours=3), 24, "order {} was not found")
        errors(now - timedelta(hours=3), 24, "cache {} is cold")
        platform.review(now)
        now += timedelta(days=1)
    errors(now - timedelta(hours=3), 100, "order {} was not found")
    errors(now - timedelta(hours=3), 24, "cache {} is cold")
    errors(now - timedelta(hours=3), 1, "disk {} is full, password=planted")
    scan = platform.review(now)
    (table,) = [one for one in scan.attachments if one.name == "log_messages"]
    assert [(row["message"], row["state"], row["count"]) for row in table.rows] == [
        ("ERROR order # was not found", "rising", 100),
        ("ERROR disk # is full, password=#", "new", 1),
        ("ERROR cache # is cold", "known", 24),
    ]
    assert (lines(scan)["errors"].verdict, lines(scan)["errors"].message[:58]) == (
        "WARN", "125 errors of 3 kinds, 1 of them new, 1 rising; 100 times:",
    )  # fmt: skip
    repository = [path.read_text() for path in (platform.folder / "repository").rglob("*.jsonl")]
    assert not any("planted" in text for text in repository)


def test_wrong_answers_are_told_by_path_and_a_large_share_of_5xx_warns(platform):
    platform.requests(DAY - timedelta(hours=1), 97)
    platform.requests(DAY - timedelta(hours=1), 3, "/orders/7?x=1", 502)
    scan = platform.review(DAY)
    assert verdicts(scan)["requests"] == "WARN"
    assert lines(scan)["requests"].message.endswith("3 of 5xx (3.00%); most of the 5xx: 3 of 502 for /orders/:id")
    (table,) = scan.attachments
    assert table.rows == ({"log": "web", "status": 502, "path": "/orders/:id", "requests": 3},)


def test_watched_lines_are_told(platform):
    platform.configure(kind="application", files="app.log", watch={"breach": "(?i)suspicious|attack|breach"})
    platform.write("2026-11-10T07:00:00Z a suspicious thing\n", "app.log")
    assert (verdicts(platform.review(DAY))["watched lines"]) == "WARN"


def test_rows_of_the_journal_hold_counts_and_no_lines(platform):
    platform.requests(DAY - timedelta(hours=1), 3, "/reset/planted?token=planted", 404)
    platform.review(DAY)
    (path,) = (platform.folder / "repository/acme/history/log-review").rglob("*.jsonl")
    row = json.loads(path.read_text())
    assert row["hours"] == {"2026-11-10T07:00:00Z": {"4xx": 3, "lines": 3, "requests": 3}}
    assert "planted" not in path.read_text()


def test_a_servers_message_loses_the_literals_of_sql_that_are_no_quotes_elsewhere(platform):
    platform.configure(kind="postgres", files="server.json")
    message = "no function takes $who$planted words$who$ /* planted note */ today"
    record = {"timestamp": "2026-11-10 07:00:00.000 UTC", "message": message, "state_code": "P0001"}
    platform.write(json.dumps(record) + "\n", "server.json")
    scan = platform.review(DAY)
    (table,) = [one for one in scan.attachments if one.name == "log_messages"]
    assert [row["message"] for row in table.rows] == ["P0001 no function takes ? today"]
