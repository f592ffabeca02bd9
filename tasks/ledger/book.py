"""The ledger's journal: one object a scan, so that a killed run leaves whole scans only."""

from collections.abc import Iterator
from datetime import datetime

from tasks.base.findings import Finding, Scan, ScanState, Severity
from tasks.repository import journal
from tasks.repository.journal import Row
from tasks.repository.store import Store

_STREAM = "findings"
_FINDING = tuple(Finding.model_fields)


def record(store: Store, system: str, run_id: str, scan: Scan) -> None:
    """Keep one scan with all that it found. Safe to run again: a scan is known by its run, scope and end."""
    head = {"run_id": run_id, **scan.model_dump(mode="json", exclude={"findings"}), "count": len(scan.findings)}
    rows = [finding.model_dump(mode="json") for finding in scan.findings]
    journal.append(store, system, _STREAM, [head, *rows], run_id)


def scans(store: Store, system: str) -> Iterator[tuple[str, Scan]]:
    """All scans that were recorded, with the id of their run, each once.

    Raises CorruptError for an object of the journal that cannot be read.
    """
    known: set[tuple[str, str, str]] = set()
    rows = journal.read(store, system, _STREAM)
    for head in rows:
        findings = tuple(_finding(next(rows)) for _ in range(head["count"]))
        identity = (head["run_id"], head["scope"], head["finished_at"])
        if identity not in known:
            known.add(identity)
            yield head["run_id"], _scan(head, findings)


def _scan(head: Row, findings: tuple[Finding, ...]) -> Scan:
    made = head["database_at"]
    return Scan.model_construct(
        scope=head["scope"],
        state=ScanState(head["state"]),
        reason=head["reason"],
        started_at=datetime.fromisoformat(head["started_at"]),
        finished_at=datetime.fromisoformat(head["finished_at"]),
        tool=head["tool"],
        database_at=datetime.fromisoformat(made) if made else None,
        findings=findings,
    )


def _finding(row: Row) -> Finding:
    # Rows that this module wrote need no second validation; a ledger holds a hundred thousand of them.
    values = {name: row[name] for name in _FINDING}
    return Finding.model_construct(**{**values, "severity": Severity(row["severity"])})
