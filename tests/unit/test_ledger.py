"""The ledger's promises, under random histories: first seen, deadlines, what closes, what comes back."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.findings import ScanState, Severity
from tasks.base.words import CheckResult, Verdict
from tasks.ledger import exemptions
from tasks.ledger.deadlines import due_time
from tasks.ledger.fold import fold
from tasks.ledger.models import Status
from tasks.ledger.report import LedgerResult, checks_of, rows_of
from tasks.report.publish import as_csv
from tests.unit.histories import DAY, START, exemption, finding, histories, ledger, only, scan, system


def test_critical_is_due_in_a_day_high_in_a_week_and_medium_in_the_next_window():
    severities = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
    entries = ledger(scan(START, *(finding(rule=name, severity=name) for name in severities)))
    assert {entry.finding.rule: entry.due_at for entry in entries.values()} == {
        "CRITICAL": START + DAY,
        "HIGH": START + 7 * DAY,
        "MEDIUM": datetime(2026, 3, 7, 4, 0, tzinfo=UTC),
        "LOW": None,
    }


def test_a_finding_is_fixed_by_a_complete_scan_of_its_own_scope_only():
    seen = scan(START, finding())
    for other in (
        scan(START + DAY, state=ScanState.FAILED),
        scan(START + DAY, state=ScanState.INCOMPLETE),
        scan(START + DAY, scope="trivy image other"),
    ):
        assert only(seen, other).fixed_at is None
    fixed = only(seen, scan(START + DAY))
    assert (fixed.fixed_at, fixed.last_seen, fixed.fixed_in) == (START + DAY, START, "run-030200")


def test_what_comes_back_is_reopened_with_a_new_deadline_and_its_first_seen():
    entry = only(scan(START, finding()), scan(START + DAY), scan(START + 9 * DAY, finding()))
    assert (entry.first_seen, entry.opened_at, entry.reopened_count) == (START, START + 9 * DAY, 1)
    assert (entry.fixed_at, entry.due_at) == (None, START + 16 * DAY)


def test_a_severity_that_rises_tightens_the_deadline_and_is_told():
    scans = (scan(START, finding(severity=Severity.MEDIUM)), scan(START + DAY, finding(severity=Severity.HIGH)))
    entry = only(*scans, deadlines={"medium_hours": 24 * 30})
    assert entry.due_at == START + 8 * DAY
    assert [change.severity for change in entry.severities] == [Severity.MEDIUM, Severity.HIGH]
    rows = rows_of(system(), [entry], (), START + DAY, START)
    told = [check for check in checks_of([], rows) if check.name == "severity"]
    assert len(told) == 1
    assert "HIGH" in told[0].message
    # One that was due sooner than the new severity asks stays due then.
    late = only(scan(START, finding(severity=Severity.MEDIUM)), scan(START + 4 * DAY, finding(severity=Severity.HIGH)))
    assert late.due_at == datetime(2026, 3, 7, 4, 0, tzinfo=UTC)


def test_the_life_of_a_finding_is_as_its_page_tells_it():
    def seen(day, severity):
        return scan(START + day * DAY, finding("CVE-2019-19844", severity, package="django"))

    monday, wednesday, friday = seen(0, Severity.MEDIUM), seen(2, Severity.CRITICAL), seen(4, Severity.CRITICAL)
    next_monday, in_may = scan(START + 7 * DAY), seen(64, Severity.CRITICAL)
    assert only(monday).due_at == datetime(2026, 3, 7, 4, tzinfo=UTC)  # Saturday
    assert only(monday, wednesday).due_at == datetime(2026, 3, 5, 2, tzinfo=UTC)  # Thursday
    assert only(monday, wednesday, friday).overdue_hours(friday[1].finished_at) == 24
    assert only(monday, wednesday, friday, next_monday).fixed_at == datetime(2026, 3, 9, 2, tzinfo=UTC)
    back = only(monday, wednesday, friday, next_monday, in_may)
    assert (back.reopened_count, back.first_seen, back.due_at) == (1, START, in_may[1].finished_at + DAY)
    assert in_may[1].finished_at.month == 5


def test_without_a_fix_there_is_no_deadline_where_the_policy_says_so():
    unfixed = finding(fixed_version="")
    assert only(scan(START, unfixed)).due_at == START + 7 * DAY
    assert only(scan(START, unfixed), ignore_unfixed_deadlines=True).due_at is None
    known = only(scan(START, unfixed), scan(START + DAY, finding()), ignore_unfixed_deadlines=True)
    assert known.due_at == START + 7 * DAY


@settings(deadline=None)
@given(histories(), st.randoms())
def test_the_ledger_is_what_its_scans_say_whatever_the_order_in_which_they_came(scans, random):
    entries = ledger(*scans)
    shuffled = list(scans)
    random.shuffle(shuffled)
    assert ledger(*shuffled) == entries
    for identity, entry in entries.items():
        seen_at = [one.finished_at for _, one in scans if any(f.identity == identity for f in one.findings)]
        assert entry.first_seen == min(seen_at)
        assert entry.last_seen == max(seen_at)
        complete = [one.finished_at for _, one in scans if one.state.is_complete and one.scope == entry.finding.scope]
        gone = [at for at in complete if at > entry.last_seen]
        assert entry.fixed_at == (min(gone) if gone else None)
        assert entry.first_seen <= entry.opened_at <= entry.last_seen
        limit = system().security.deadlines.hours(entry.finding.severity)
        if limit is not None:
            assert entry.due_at is not None
            # Never later than the present severity allows, counted from when it was first seen that high.
            reached = max(entry.opened_at, entry.severities[-1].at)
            assert entry.due_at <= reached + timedelta(hours=limit)


def by_hand(scans, identity, due):
    """Opening, due time and number of returns of one finding, told plainly."""
    opened = due_at = severity = None
    is_open, returns = False, 0
    for _, one in sorted(scans, key=lambda item: item[1].finished_at):
        found = next((finding for finding in one.findings if finding.identity == identity), None)
        at = one.finished_at
        if found is not None and not is_open:
            returns += opened is not None
            is_open, opened, due_at, severity = True, at, due(found, at), found.severity
        elif found is not None and found.severity.rank < severity.rank:
            asked = due(found, at)
            due_at, severity = min(filter(None, (due_at, asked)), default=None), found.severity
        elif found is not None and found.severity.rank > severity.rank:
            due_at, severity = due(found, opened), found.severity
        elif found is None and is_open and one.state.is_complete and one.scope == SCOPE_OF[identity]:
            is_open = False
    return opened, due_at, returns, is_open


SCOPE_OF = {
    finding(rule=f"CVE-{number}", scope=scope).identity: scope
    for number in (1, 2, 3)
    for scope in ("trivy image app", "trivy fs app")
}


@settings(deadline=None)
@given(histories(), st.integers(0, 90), st.integers(0, 90), st.sampled_from(["CVE-1", "CVE-*", "CVE-9"]))
def test_deadlines_returns_and_exceptions_are_as_told_plainly(scans, days, ends, pattern):
    now, entry_of = START + days * DAY, ledger(*scans)
    covered = [exemption((START + ends * DAY).date(), rule=pattern)]
    for identity, entry in entry_of.items():
        told = entry.opened_at, entry.due_at, entry.reopened_count, entry.fixed_at is None
        assert told == by_hand(scans, identity, due_time(system()))
    for row in rows_of(system(), entry_of.values(), covered, now, None):
        entry = entry_of[row["identity"]]
        holds = ends >= days and entry.finding.rule in ("CVE-1",) * (pattern == "CVE-1") + tuple(
            f"CVE-{number}" for number in (1, 2, 3) if pattern == "CVE-*"
        )
        overdue = entry.due_at is not None and entry.due_at < now
        wanted = Status.EXEMPT if holds else Status.OVERDUE if overdue else Status.OPEN
        assert row["status"] == (wanted if entry.fixed_at is None else Status.FIXED)


def test_an_exception_covers_until_its_last_day_and_then_fails_loudly():
    entry, today = only(scan(START, finding())), START + 30 * DAY
    held, ended = exemption(today.date()), exemption(today.date() - DAY)
    (row,) = rows_of(system(), [entry], [held], today, None)
    assert (row["status"], row["owner"], row["exception_ends"]) == (Status.EXEMPT, "ada", "2026-04-01")
    assert exemptions.checks([held], [entry.finding], today.date()) == []
    (row,) = rows_of(system(), [entry], [ended], today, None)
    assert (row["status"], row["overdue_hours"]) == (Status.OVERDUE, 23 * 24)
    (check,) = exemptions.checks([ended], [entry.finding], today.date())
    assert check.verdict is Verdict.FAIL
    assert "ada" in check.message


def test_an_exception_of_no_use_is_told():
    (check,) = exemptions.checks([exemption(date(2026, 5, 1), rule="CVE-9*")], [finding()], date(2026, 4, 1))
    assert check.verdict is Verdict.WARN
    assert "covers no open finding" in check.message


def test_the_report_begins_with_what_is_overdue_and_opens_in_a_spreadsheet():
    scans = (
        scan(START, finding(rule="CVE-1"), finding(rule="CVE-2", severity=Severity.CRITICAL), finding(rule="CVE-3")),
        scan(START + 2 * DAY, finding(rule="CVE-1"), finding(rule="CVE-2", severity=Severity.CRITICAL, title="=cmd()")),
    )
    rows = rows_of(system(), ledger(*scans).values(), (), START + 2 * DAY, START)
    assert [(row["rule"], row["status"]) for row in rows] == [
        ("CVE-2", Status.OVERDUE),
        ("CVE-1", Status.OPEN),
        ("CVE-3", Status.FIXED),
    ]
    assert b"'=cmd()" in as_csv(LedgerResult.csv_header, rows)
    failed = [check for check in checks_of([], rows) if check.verdict is Verdict.FAIL]
    assert "24 h past its deadline" in failed[0].message


def checked(at, *findings, state=None, verdict=Verdict.FAIL):
    line = CheckResult(name="certificate", target="shop.example:443", verdict=verdict, message="is signed by itself")
    return scan(at, *findings, state=state)[1].model_copy(update={"checks": (line,)})


def test_a_line_about_what_may_stay_is_information():
    one = finding(rule="certificate-self-signed", location="shop.example:443")
    other = finding(rule="certificate-wrong-name", location="shop.example:443")
    allowed = [exemption(date(2026, 5, 1), rule="certificate-self-signed")]

    def lines(*findings):
        whole = checked(START, *findings)
        rows = rows_of(system(), fold([("run", whole)], due_time(system())).values(), allowed, START, None)
        return [check for check in checks_of([whole], rows) if check.name == "certificate"]

    (line,) = lines(one)
    assert (line.verdict, line.message) == (Verdict.INFO, "is signed by itself; an exception covers it")
    assert [line.verdict for line in lines(one, other)] == [Verdict.FAIL]


def test_a_check_that_saw_only_a_part_is_not_good_whatever_its_lines_say():
    half = checked(START, state=ScanState.INCOMPLETE, verdict=Verdict.OK)
    assert [check.verdict for check in checks_of([half], [])] == [Verdict.OK, Verdict.INCOMPLETE]
    assert [check.verdict for check in checks_of([checked(START, verdict=Verdict.OK)], [])] == [Verdict.OK]
