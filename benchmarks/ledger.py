"""The ledger of a year, from its journal to entries or to CSV, page and SARIF, in a process of its own."""

from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Cost, engine
from tasks.base.clock import utc_now
from tasks.base.findings import Finding, Scan, ScanState, Severity, identity_of
from tasks.ledger.book import Book
from tasks.repository.local import LocalStore

SYSTEM, SCOPES, MONTHS = "bench", 20, 12
# Each finding is there for so many months, then it is fixed.
_STAYS = 6


def measure(work: str, folder: Path, findings: int, scans_a_month: int = 1) -> Cost:
    """`ledger_fold` or `ledger_report` of that many findings in twenty scopes, all scanned in each month of a year."""
    place = folder / f"ledger-{findings}-{scans_a_month}"
    if not place.exists():
        book, first = Book(LocalStore(str(place)), SYSTEM), utc_now() - timedelta(days=365)
        for scope in (f"trivy image app{number}" for number in range(SCOPES)):
            known = [_finding(scope, number) for number in range(findings // SCOPES)]
            for number in range(MONTHS * scans_a_month):
                at, month = first + timedelta(days=30 * number / scans_a_month), number // scans_a_month
                found = tuple(one for place_, one in enumerate(known) if 0 <= month - place_ % MONTHS < _STAYS)
                scan = Scan(
                    scope=scope, state=ScanState.FINDINGS, started_at=at, finished_at=at, tool="trivy", findings=found
                )
                book.record(f"{number:08x}", scan)
    return engine({"work": work, "repository": f"file://{place}"})


def peak(folder: Path, findings: int, scans_a_month: int) -> Cost:
    """The memory at the height of that fold, in MB in the place of seconds, for a row that compares memory."""
    cost = measure("ledger_fold", folder, findings, scans_a_month)
    return cost.model_copy(update={"seconds": cost.peak_mb, "said": f"MB of memory, {cost.said}"})


def _finding(scope: str, number: int) -> Finding:
    rule, package = f"CVE-2026-{number}", f"package-{number % 300}"
    return Finding(
        identity=identity_of(scope, "vulnerability", package, rule),
        scope=scope,
        kind="vulnerability",
        severity=list(Severity)[number % len(Severity)],
        rule=rule,
        title="Out-of-bounds read in the parser of certificates",
        location=f"usr/lib/{package}",
        package=package,
        installed_version="1.0",
        fixed_version="1.1",
        link=f"https://example.org/{rule}",
    )
