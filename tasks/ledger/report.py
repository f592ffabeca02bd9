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
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.ledger import exemptions
from tasks.ledger.models import Entry, Status

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
        "severity",
        "rule",
        "package",
        "location",
        "scope",
        "due_at",
        "overdue_hours",
        "first_seen",
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
    page_columns: ClassVar[tuple[str, ...]] = (
        "status", "severity", "rule", "package", "location", "scope", "due_at", "overdue_hours", "first_seen", "owner",
    )  # fmt: skip
    rows: tuple[Row, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The ledger by urgency."""
        return list(self.rows)


def rows_of(system: System, entries: Iterable[Entry], covered: Sequence[Exemption], now: datetime) -> list[Row]:
    """The ledger's rows at that moment: overdue, open by due time, exempt, then what was fixed lately."""
    today = now.astimezone(ZoneInfo(system.timezone)).date()
    order = list(Status)
    found = []
    for entry in entries:
        exemption = exemptions.exemption_of(entry.finding, covered, today) if entry.fixed_at is None else None
        status = entry.status(now, exempt=exemption is not None)
        if entry.fixed_at is None or now - entry.fixed_at <= _SHOWN_FIXED:
            found.append((order.index(status), _urgency(entry), _row(system, entry, status, exemption, now)))
    return [row for _, _, row in sorted(found, key=lambda one: one[:2])]


def checks_of(scans: Sequence[Scan], rows: Sequence[Row], since: datetime) -> list[CheckResult]:
    """How each scan ended, what is overdue, and what is new since that moment."""
    found = [line for scan in scans for line in _lines_of(scan)]
    overdue = [row for row in rows if row["status"] == Status.OVERDUE]
    if overdue:
        first = overdue[0]
        message = (
            f"{len(overdue)} findings are overdue, first {first['rule']} {first['package'] or first['location']} in "
            f"{first['scope']}, {first['overdue_hours']} h past its deadline"
        )
        found.append(CheckResult(name="overdue", target="ledger", verdict=Verdict.FAIL, message=message))
    new = [row for row in rows if row["status"] == Status.OPEN and row["first_seen"] >= iso(since)]
    if new:
        message = (
            f"{len(new)} new findings, first {new[0]['rule']} in {new[0]['scope']}, due {new[0]['due_at'] or 'never'}"
        )
        found.append(CheckResult(name="new", target="ledger", verdict=Verdict.WARN, message=message))
    tightened = [row for row in rows if _rose_since(row, since)]
    if tightened:
        message = (
            f"the severity of {len(tightened)} findings rose, first {tightened[0]['rule']} in "
            f"{tightened[0]['scope']} to {tightened[0]['severity']}: now due {tightened[0]['due_at'] or 'never'}"
        )
        found.append(CheckResult(name="severity", target="ledger", verdict=Verdict.WARN, message=message))
    return found


def _lines_of(scan: Scan) -> tuple[CheckResult, ...]:
    """What a check says of itself, and how its scan ended where that is worse than all it says."""
    own = _of_scan(scan)
    told = scan.state.is_complete or Verdict.worst([line.verdict for line in scan.checks]) not in _GOOD
    return scan.checks if scan.checks and told else (*scan.checks, own)


def _of_scan(scan: Scan) -> CheckResult:
    count = f"{len(scan.findings)} findings" if scan.findings else "nothing found"
    made = f", database of {iso(scan.database_at)}" if scan.database_at else ""
    message = scan.reason or f"{count} by {scan.tool}{made}"
    return CheckResult(name="scan", target=scan.scope, verdict=_OF_SCAN[scan.state], message=f"{scan.state}: {message}")


def _rose_since(row: Row, since: datetime) -> bool:
    """True when the last change of an open finding's severity was a rise, in this run."""
    changes = row["severity_history"].split(" > ")
    if row["status"] == Status.FIXED or len(changes) < 2:
        return False
    order = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"]
    (before, _), (after, at) = (change.split("@") for change in changes[-2:])
    return order.index(after) < order.index(before) and at >= iso(since)


def _urgency(entry: Entry) -> tuple[Any, ...]:
    due = iso(entry.due_at) if entry.due_at else "~"  # after every date
    return due, entry.finding.severity.rank, entry.finding.scope, entry.finding.location, entry.finding.rule


def _row(system: System, entry: Entry, status: Status, exemption: Exemption | None, now: datetime) -> Row:
    finding = entry.finding
    return {
        "status": str(status),
        "severity": str(finding.severity),
        "rule": finding.rule,
        "package": finding.package,
        "location": finding.location,
        "scope": finding.scope,
        "due_at": iso(entry.due_at) if entry.due_at else "",
        "overdue_hours": entry.overdue_hours(now) if status is Status.OVERDUE else 0.0,
        "first_seen": iso(entry.first_seen),
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
