"""What a person reads of the ledger: rows by urgency, and one check for each thing to do."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tasks.base.clock import iso
from tasks.base.findings import Scan, ScanState
from tasks.base.security import Exemption
from tasks.base.system import System
from tasks.base.units import human
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.ledger import exemptions
from tasks.ledger.models import Change, Entry, Status

Row = dict[str, Any]
_SHOWN_FIXED = timedelta(days=35)
_OF_SCAN = {
    ScanState.CLEAN: Verdict.OK,
    ScanState.FINDINGS: Verdict.INFO,
    ScanState.INCOMPLETE: Verdict.INCOMPLETE,
    ScanState.FAILED: Verdict.FAIL,
}
# A check that says no worse of itself does not tell that its scan was no whole one.
_GOOD = (Verdict.OK, Verdict.INFO, Verdict.WARN)


class LedgerResult(FlowResult):
    """One row per finding that is open, or was fixed in the last 35 days, the most urgent first."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "status",
        "change",
        "severity",
        "rule",
        "package",
        "location",
        "scope",
        "due_at",
        "overdue_hours",
        "first_seen",
        "opened_at",
        "last_seen",
        "fixed_at",
        "reopened_count",
        "severity_history",
        "kind",
        "title",
        "installed_version",
        "fixed_version",
        "owner",
        "exception",
        "exception_ends",
        "link",
        "identity",
    )
    # The page has them by what there is to do, see `sections`.
    rows_on_page: ClassVar[bool] = False
    rows: tuple[Row, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The ledger by urgency."""
        return list(self.rows)


def rows_of(
    system: System, entries: Iterable[Entry], covered: Sequence[Exemption], now: datetime, since: datetime | None
) -> list[Row]:
    """The ledger's rows at that moment: overdue, open by due time, exempt, then what was fixed lately.

    `since` is when the report before ended, None when there was none.
    """
    today = now.astimezone(ZoneInfo(system.timezone)).date()
    order = list(Status)
    found = []
    for entry in entries:
        exemption = exemptions.exemption_of(entry.finding, covered, today) if entry.fixed_at is None else None
        status = entry.status(now, exempt=exemption is not None)
        if entry.fixed_at is None or now - entry.fixed_at <= _SHOWN_FIXED:
            found.append((order.index(status), _urgency(entry), _row(system, entry, status, exemption, now, since)))
    return [row for _, _, row in sorted(found, key=lambda one: one[:2])]


def checks_of(scans: Sequence[Scan], rows: Sequence[Row]) -> list[CheckResult]:
    """How each scan ended, what is overdue, and what is new since the report before."""
    exempt = {row["identity"] for row in rows if row["status"] == Status.EXEMPT}
    found = [line for scan in scans for line in _lines_of(scan, exempt)]
    overdue = [row for row in rows if row["status"] == Status.OVERDUE]
    if overdue:
        late = human(overdue[0]["overdue_hours"] * 3600, "seconds")
        message = f"{_count(len(overdue), 'finding')} overdue, first {_first(overdue)}, {late} past its deadline"
        found.append(CheckResult(name="overdue", target="ledger", verdict=Verdict.FAIL, message=message))
    for change, what in ((Change.NEW, "new finding"), (Change.REOPENED, "finding that came back")):
        new = [row for row in rows if row["status"] == Status.OPEN and row["change"] == change]
        if new:
            message = f"{_count(len(new), what)}, first {_first(new)}, due {new[0]['due_at'] or 'never'}"
            found.append(CheckResult(name=str(change), target="ledger", verdict=Verdict.WARN, message=message))
    worse = [row for row in rows if row["change"] == Change.WORSE]
    if worse:
        message = (
            f"{_count(len(worse), 'finding')} of a higher severity, first {_first(worse)}, now {worse[0]['severity']} "
            f"and due {worse[0]['due_at'] or 'never'}"
        )
        found.append(CheckResult(name="severity", target="ledger", verdict=Verdict.WARN, message=message))
    return found


def _lines_of(scan: Scan, exempt: set[str]) -> list[CheckResult]:
    """What a check says of itself, and how its scan ended where that is worse than all it says."""
    if not scan.checks:
        return [_of_scan(scan)]
    lines = [_less_when_exempt(line, scan, exempt) for line in scan.checks]
    told = scan.state.is_complete or Verdict.worst([line.verdict for line in scan.checks]) not in _GOOD
    return lines if told else [*lines, _of_scan(scan)]


def _less_when_exempt(line: CheckResult, scan: Scan, exempt: set[str]) -> CheckResult:
    """A line about a place of which every finding may stay is information."""
    there = {finding.identity for finding in scan.findings if finding.location == line.target}
    if line.verdict not in (Verdict.WARN, Verdict.FAIL) or not there or there - exempt:
        return line
    return line.model_copy(update={"verdict": Verdict.INFO, "message": f"{line.message}; an exception covers it"})


def _count(number: int, what: str) -> str:
    noun, _, rest = what.partition(" that ")
    return f"{number} {noun}{'' if number == 1 else 's'}" + (f" that {rest}" if rest else "")


def _first(rows: Sequence[Row]) -> str:
    return f"{rows[0]['rule']} {rows[0]['package'] or rows[0]['location']} in {rows[0]['scope']}"


def _of_scan(scan: Scan) -> CheckResult:
    count = _count(len(scan.findings), "finding") if scan.findings else "nothing found"
    made = f", database of {iso(scan.database_at)}" if scan.database_at else ""
    message = scan.reason or f"{count} by {scan.tool}{made}"
    return CheckResult(name="scan", target=scan.scope, verdict=_OF_SCAN[scan.state], message=f"{scan.state}: {message}")


def _urgency(entry: Entry) -> tuple[Any, ...]:
    due = iso(entry.due_at) if entry.due_at else "~"  # after every date
    return due, entry.finding.severity.rank, entry.finding.scope, entry.finding.location, entry.finding.rule


def _row(
    system: System, entry: Entry, status: Status, exemption: Exemption | None, now: datetime, since: datetime | None
) -> Row:
    finding = entry.finding
    return {
        "status": str(status),
        "change": str(entry.change(since)),
        "severity": str(finding.severity),
        "rule": finding.rule,
        "package": finding.package,
        "location": finding.location,
        "scope": finding.scope,
        "due_at": iso(entry.due_at) if entry.due_at else "",
        "overdue_hours": entry.overdue_hours(now) if status is Status.OVERDUE else 0.0,
        "first_seen": iso(entry.first_seen),
        "opened_at": iso(entry.opened_at),
        "last_seen": iso(entry.last_seen),
        "fixed_at": iso(entry.fixed_at) if entry.fixed_at else "",
        "reopened_count": entry.reopened_count,
        "severity_history": " > ".join(f"{change.severity}@{iso(change.at)}" for change in entry.severities),
        "kind": finding.kind,
        "title": finding.title,
        "installed_version": finding.installed_version,
        "fixed_version": finding.fixed_version,
        "owner": _owner(system, finding.scope) if exemption is None else exemption.owner,
        "exception": exemption.reason if exemption else "",
        "exception_ends": exemption.ends.isoformat() if exemption else "",
        "link": finding.link,
        "identity": finding.identity,
    }


def _owner(system: System, scope: str) -> str:
    return next((owner for pattern, owner in system.security.owners.items() if fnmatchcase(scope, pattern)), "")
