"""The ledger's journal: one object a scan, so that a killed run leaves whole scans only.

What a scan found is kept by content: a row holds a finding once, under the SHA-256 of it, and every scan that saw just
the same names it by that. A hundred thousand findings that stay for a year do not fill the repository each week.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tasks.base.errors import CorruptError
from tasks.base.findings import Finding, Scan, ScanState, Severity
from tasks.repository import journal
from tasks.repository.journal import Row
from tasks.repository.store import Store

_STREAM = "findings"
_FINDING = tuple(Finding.model_fields)


class Book:
    """All scans of a system, those that other runs recorded until now and those that this one adds."""

    def __init__(self, store: Store, system: str) -> None:
        """Read the journal. Raises CorruptError for an object of it that cannot be read."""
        self._store, self._system = store, system
        self._contents: dict[str, Finding] = {}
        self._scans: list[tuple[str, Scan]] = []
        self._read()

    def record(self, run_id: str, scan: Scan) -> None:
        """Keep one scan with all that it found. Safe to run again: a scan is known by its run, scope and end."""
        digests = {_digest(finding): finding for finding in scan.findings}
        new = {digest: finding for digest, finding in digests.items() if digest not in self._contents}
        head = {
            "run_id": run_id,
            **scan.model_dump(mode="json", exclude={"findings"}),
            "findings": list(digests),
            "rows": len(new),
        }
        rows = [{"digest": digest, **_values(finding)} for digest, finding in new.items()]
        journal.append(self._store, self._system, _STREAM, [head, *rows], run_id)
        # Only now, for another scan of this run may name what lies in the journal, and nothing else.
        self._contents |= new
        self._scans.append((run_id, scan))

    def scans(self) -> Iterator[tuple[str, Scan]]:
        """All scans with the id of their run, each once."""
        known: set[tuple[str, str, datetime]] = set()
        for run_id, scan in self._scans:
            identity = (run_id, scan.scope, scan.finished_at)
            if identity not in known:
                known.add(identity)
                yield run_id, scan

    def _read(self) -> None:
        rows, heads = journal.read(self._store, self._system, _STREAM), []
        for head in rows:
            heads.append(head)
            for _ in range(head["rows"]):
                row = next(rows)
                self._contents[row["digest"]] = _finding(row)
        # Another host may have recorded a content a moment after a scan that names it.
        for head in heads:
            self._scans.append((head["run_id"], self._scan(head)))

    def _scan(self, head: Row) -> Scan:
        made = head["database_at"]
        try:
            findings = tuple(self._contents[digest] for digest in head["findings"])
        except KeyError:
            raise CorruptError(
                f"the journal of findings of '{self._system}' lacks what the scan of {head['scope']} at "
                f"{head['finished_at']} names; restore {self._system}/history/{_STREAM} from the store's versions"
            ) from None
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


def _values(finding: Finding) -> dict[str, Any]:
    return {name: str(getattr(finding, name)) for name in _FINDING}


def _digest(finding: Finding) -> str:
    return hashlib.sha256(json.dumps(_values(finding), sort_keys=True).encode()).hexdigest()[:32]


def _finding(row: Row) -> Finding:
    # Rows that this module wrote need no second validation; a ledger holds a hundred thousand of them.
    values = {name: row[name] for name in _FINDING}
    return Finding.model_construct(**{**values, "severity": Severity(row["severity"])})
