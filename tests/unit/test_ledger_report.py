"""What a person and a program read of the ledger: sections, trend, CSV, and SARIF that keeps its standard."""

import csv
import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker

from tasks.base.findings import ScanState, Severity
from tasks.base.security import Exemption
from tasks.ledger.deadlines import due_time
from tasks.ledger.fold import fold
from tasks.ledger.report import LedgerResult, checks_of, rows_of
from tasks.ledger.sarif import sarif_of
from tasks.ledger.sections import sections
from tasks.ledger.trend import Trend
from tasks.report.publish import as_csv
from tests.unit.histories import DAY, START, exemption, finding, histories, ledger, scan, system

SCHEMA = Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json"


@cache
def validator():
    data = SCHEMA.read_bytes()
    assert hashlib.sha256(data).hexdigest() in (SCHEMA.parent / "README.md").read_text(), "not as it was published"
    return Draft4Validator(json.loads(data), format_checker=FormatChecker())


def reported(scans, now, since=None, exempted=(), **security):
    rows = rows_of(system(**security), ledger(*scans, **security).values(), exempted, now, since)
    return LedgerResult(
        flow="security_scan", system="acme", run_id="0a1b2c3d", started_at=now, finished_at=now, rows=tuple(rows)
    )


def sarif(result, scans=(), former_run=None):
    """The one run of the file, after it was held against the schema."""
    document = sarif_of(result, [one for _, one in scans], former_run)
    assert (document.name, document.ending) == ("report", "sarif")
    read = json.loads(json.dumps(document.content))
    errors = [f"{error.json_path}: {error.message}" for error in validator().iter_errors(read)]
    assert errors == []
    return read["runs"][0]


def results(run):
    return {one["ruleId"]: one for one in run["results"]}


def test_sarif_says_what_is_new_unchanged_worse_gone_and_excepted():
    before = [
        scan(
            START,
            *(finding(rule=name, title=f"Flaw {name}") for name in ("stays", "gone", "held")),
            finding(rule="worse", severity=Severity.MEDIUM),
        )
    ]
    later = [
        scan(
            START + DAY,
            *(finding(rule=name, title=f"Flaw {name}") for name in ("stays", "held", "new")),
            finding(rule="worse", severity=Severity.CRITICAL),
        )
    ]
    held = exemption(date(2026, 12, 1), rule="held")
    result = reported([*before, *later], START + DAY, START + DAY / 2, [held])
    run = sarif(result, later, former_run="ffffffff")
    found = results(run)
    assert {rule: one["baselineState"] for rule, one in found.items()} == {
        "stays": "unchanged",
        "held": "unchanged",
        "new": "new",
        "gone": "absent",
        "worse": "updated",
    }
    assert [one["kind"] for one in found["held"]["suppressions"]] == ["external"]
    assert "ada" in found["held"]["suppressions"][0]["justification"]
    assert found["stays"]["suppressions"] == []
    assert {rule: one["level"] for rule, one in found.items()} == dict.fromkeys(found, "error")
    for rule, one in found.items():
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == rule
        assert one["partialFingerprints"] == {"nightshift/v1": finding(rule=rule).identity}
    assert found["gone"]["provenance"]["firstDetectionTimeUtc"] == "2026-03-02T02:00:00Z"
    assert run["invocations"][0]["executionSuccessful"] is True


def test_the_first_sarif_compares_with_nothing():
    scans = [scan(START, finding())]
    run = sarif(reported(scans, START), scans)
    assert "baselineGuid" not in run
    assert all("baselineState" not in one for one in run["results"])


def test_sarif_of_a_scan_that_did_not_see_all_says_so():
    failed = scan(START, state=ScanState.FAILED)[1].model_copy(update={"reason": "trivy is not on PATH"})
    run = sarif(reported([], START), [("run", failed)])
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is False
    (said,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "trivy is not on PATH" in said["message"]["text"]
    assert sarif(reported([], START))["invocations"][0]["executionSuccessful"] is False, "nothing was scanned"


@pytest.mark.parametrize(
    ("kind", "location", "uri", "line"),
    [
        ("secret", "a b/ü#%.ini:12", "a b/ü#%.ini", 12),
        ("secret", "settings.ini:2 in 0123abcd4567", "settings.ini", 2),
        ("misconfiguration", "Dockerfile", "Dockerfile", None),
        ("vulnerability", "/usr/lib/x/METADATA", "usr/lib/x/METADATA", None),
        ("vulnerability", "c:/app/requirements.txt", "c:/app/requirements.txt", None),
        ("vulnerability", "app:1 (debian 12.5)", None, None),
        ("role", "nightshift", None, None),
    ],
)
def test_a_place_in_a_file_is_a_relative_uri_and_any_other_a_name(kind, location, uri, line):
    scans = [scan(START, finding(kind=kind, location=location))]
    (one,) = sarif(reported(scans, START), scans)["results"]
    (place,) = one["locations"]
    assert place["logicalLocations"][0]["fullyQualifiedName"] == f"trivy image app/{location}"
    if uri is None:
        assert "physicalLocation" not in place
        return
    file = place["physicalLocation"]["artifactLocation"]
    parts = urlsplit(file["uri"])
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert not file["uri"].startswith("/")
    assert unquote(file["uri"]) == uri
    assert place["physicalLocation"].get("region", {}).get("startLine") == line


texts = st.text(max_size=30)


@settings(deadline=None, max_examples=20)
@given(histories(), texts, texts, texts)
def test_sarif_keeps_its_schema_whatever_was_found(scans, title, location, link):
    changed = [
        (run, one.model_copy(update={"findings": tuple(
            found.model_copy(update={"title": title, "location": location, "link": link}) for found in one.findings
        )}))
        for run, one in scans
    ]  # fmt: skip
    now = START + 90 * DAY
    run = sarif(reported(changed, now, START + 40 * DAY), changed, former_run="ffffffff")
    still_open = {key for key, entry in ledger(*scans).items() if entry.fixed_at is None}
    shown = {one["partialFingerprints"]["nightshift/v1"] for one in run["results"] if one["baselineState"] != "absent"}
    assert shown == still_open


def test_the_page_tells_what_to_do_before_what_is_known():
    scans = (
        scan(START - DAY, finding("gone long ago")),
        scan(START, finding("late", Severity.CRITICAL), finding("open"), finding("gone"), finding("held")),
        scan(START + 2 * DAY, finding("late", Severity.CRITICAL), finding("open"), finding("held"), finding("new")),
    )
    exempted = [
        exemption(date(2026, 12, 1), rule="held"),
        exemption(date(2026, 3, 1), rule="open"),
        exemption(date(2026, 12, 1), rule="never"),
    ]
    now = START + 2 * DAY
    rows = reported(scans, now, START + DAY, exempted).rows
    findings = [entry.finding for entry in ledger(*scans).values() if entry.fixed_at is None]
    tables = {table.name: table for table in sections(rows, exempted, findings, now.date())}
    assert {name: [row["rule"] for row in table.rows] for name, table in tables.items()} == {
        "overdue": ["late"],
        "open": ["open", "new"],
        "new": ["new"],
        "fixed": ["gone"],
        "exceptions": ["open", "never", "held"],
    }
    assert [row["state"] for row in tables["exceptions"].rows] == ["ended", "unused", "holds"]
    assert list(tables) == ["overdue", "open", "new", "fixed", "exceptions"]


def test_what_came_back_is_told_apart_from_what_is_new():
    scans = (scan(START, finding()), scan(START + DAY), scan(START + 2 * DAY, finding()))
    rows = reported(scans, START + 2 * DAY, START + DAY).rows
    assert [(row["change"], row["reopened_count"]) for row in rows] == [("reopened", 1)]
    assert ["came back" in check.message for check in checks_of([], rows)] == [True]
    # In the next report it is only open.
    assert [row["change"] for row in reported(scans, START + 3 * DAY, START + 2 * DAY).rows] == [""]


def trend(*scans, now, zone="UTC", **security):
    made = Trend(zone, now)
    entries = fold(scans, due_time(system(**security)), made)
    made.finish(entries.values())
    return made.attachments()


def test_the_trend_tells_each_month_as_it_was_then():
    scans = (
        scan(datetime(2026, 1, 10, tzinfo=UTC), finding("a", Severity.MEDIUM), finding("b", Severity.CRITICAL)),
        scan(datetime(2026, 2, 10, tzinfo=UTC), finding("a", Severity.CRITICAL), finding("c", Severity.LOW)),
        scan(datetime(2026, 2, 20, tzinfo=UTC), finding("a", Severity.CRITICAL), state=ScanState.INCOMPLETE),
        scan(datetime(2026, 4, 1, 12, tzinfo=UTC), finding("c", Severity.LOW)),
    )
    *pictures, table = trend(*scans, now=datetime(2026, 4, 2, tzinfo=UTC))
    named = [
        (row["month"], row["open_critical"], row["open_medium"], row["open_low"], row["opened"], row["fixed"])
        for row in table.rows
    ]
    assert named == [
        ("2026-01", 1, 1, 0, 2, 0),
        ("2026-02", 1, 0, 1, 1, 1),
        ("2026-03", 1, 0, 1, 0, 0),
        ("2026-04", 0, 0, 1, 0, 1),
    ]
    assert [row["mean_fix_days"] for row in table.rows] == [None, 31.0, None, 81.5]
    assert [row["overdue_share"] for row in table.rows] == [1.0, 0.5, 0.5, 0.0]
    assert [picture.name for picture in pictures] == ["open", "moved"]


def test_what_is_overdue_today_was_not_overdue_before_it_was_due():
    seen = scan(datetime(2026, 1, 30, tzinfo=UTC), finding())
    *_, table = trend(seen, now=datetime(2026, 2, 20, tzinfo=UTC))
    assert [(row["month"], row["overdue_share"]) for row in table.rows] == [("2026-01", 0.0), ("2026-02", 1.0)]


def test_a_month_ends_by_the_systems_clock():
    late = scan(datetime(2026, 1, 31, 23, 30, tzinfo=UTC), finding())
    (table,) = trend(late, now=datetime(2026, 2, 1, 12, tzinfo=UTC), zone="Europe/Berlin")
    assert [(row["month"], row["opened"]) for row in table.rows] == [("2026-02", 1)]


def test_the_trend_goes_back_a_year_and_a_month_and_none_is_made_of_nothing():
    *_, table = trend(scan(START, finding()), now=START + 1000 * DAY)
    assert (len(table.rows), table.rows[-1]["month"]) == (13, "2028-11")
    (table,) = trend(now=START)
    assert table.rows == ()


@settings(deadline=None, max_examples=40)
@given(histories())
def test_what_was_opened_and_not_fixed_is_open_at_each_months_end(scans):
    now = START + 100 * DAY
    *_, table = trend(*scans, now=now)
    standing = 0
    for row in table.rows:
        standing += row["opened"] - row["fixed"]
        assert row["open"] == standing == sum(row[f"open_{severity.lower()}"] for severity in Severity)
    entries = ledger(*scans).values()
    assert standing == sum(entry.fixed_at is None for entry in entries)
    overdue = sum(entry.fixed_at is None and entry.due_at is not None and entry.due_at < now for entry in entries)
    assert round((table.rows[-1]["overdue_share"] or 0) * standing if table.rows else 0) == overdue


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@settings(deadline=None, max_examples=25)
@given(histories(), cells, cells)
def test_the_csv_round_trips(scans, title, reason):
    changed = [
        (run, one.model_copy(update={"findings": tuple(
            found.model_copy(update={"title": title}) for found in one.findings
        )}))
        for run, one in scans
    ]  # fmt: skip
    exempted = [Exemption(rule="CVE-2", reason=f"it is not reachable {reason}", owner="ada", ends=date(2099, 1, 1))]
    rows = reported(changed, START + 90 * DAY, START + 40 * DAY, exempted).rows
    data = as_csv(LedgerResult.csv_header, rows).decode()
    read = list(csv.DictReader(io.StringIO(data, newline="")))
    assert [{name: cell.removeprefix("'") for name, cell in row.items()} for row in read] == [
        {name: str(row[name]).removeprefix("'") for name in LedgerResult.csv_header} for row in rows
    ]


def test_due_and_overdue_are_hours_by_the_policy():
    rows = reported([scan(START, finding())], START + timedelta(days=8), deadlines={"high_hours": 36}).rows
    assert [(row["due_at"], row["overdue_hours"]) for row in rows] == [("2026-03-03T14:00:00Z", 156.0)]
