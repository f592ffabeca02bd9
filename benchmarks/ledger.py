"""The ledger of a year, from its journal to entries or to CSV, page and SARIF, in a process of its own."""

from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Cost, engine
from tasks.base.clock import utc_now
from tasks.base.findings import Finding, Scan, ScanState, Severity, identity_of
from tasks.ledger.book import Book
from tasks.repository.local import LocalStore

SYSTEM, SCOPES, SCANS = "bench", 20, 12
# Each finding is there for so many of the scans, then it is fixed.
_STAYS = 6


def measure(work: str, folder: Path, findings: int) -> Cost:
    """`ledger_fold` or `ledger_report` of that many findings in twenty scopes, each scanned every month of a year."""
    place = folder / f"ledger-{findings}"
    if not place.exists():
        book, first = Book(LocalStore(str(place)), SYSTEM), utc_now() - timedelta(days=365)
        for scope in (f"trivy image app{number}" for number in range(SCOPES)):
            known = [_finding(scope, number) for number in range(findings // SCOPES)]
            for number in range(SCANS):
                at = first + timedelta(days=30 * number)
                found = tuple(one for place_, one in enumerate(known) if 0 <= number - place_ % SCANS < _STAYS)
                scan = Scan(
                    scope=scope, state=ScanState.FINDINGS, started_at=at, finished_at=at, tool="trivy", findings=found
                )
                book.record(f"{number:08x}", scan)
    return engine({"work": work, "repository": f"file://{place}"})


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
