"""The ledger's journal: one object a scan, so that a killed run leaves whole scans only.

What a scan found is kept by content: a row holds a finding once, under the SHA-256 of it, and every scan that saw just
the same names it by that. A hundred thousand findings that stay for a year do not fill the repository each week.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from sys import intern
from threading import Lock
from typing import Any

from tasks.base.collector import collector_paused
from tasks.base.errors import CorruptError
from tasks.base.findings import Finding, Scan, ScanState, Severity
from tasks.ledger.contents import Contents
from tasks.repository import journal
from tasks.repository.journal import Row
from tasks.repository.store import Store

_STREAM = "findings"
_FINDING = tuple(Finding.model_fields)
# Shared by all findings: one for each would be half of their memory.
_FIELDS_SET = set(_FINDING)
# The same text stands in many findings; it is held once.
_REPEATED = ("scope", "kind", "rule", "title", "package", "installed_version", "fixed_version", "link")


class Recorded:
    """A scan as the ledger is folded from it: what it found is looked up when it is asked for, and not held."""

    __slots__ = ("_contents", "_marked", "finished_at", "scope", "state")

    def __init__(self, scope: str, state: ScanState, finished_at: datetime, contents: Contents, marked: bytes) -> None:
        self.scope, self.state, self.finished_at = scope, state, finished_at
        self._contents, self._marked = contents, marked

    @property
    def findings(self) -> list[Finding]:
        """All that it found."""
        return self._contents.of(self._marked)


class Book:
    """All scans of a system, those that other runs recorded until now and those that this one adds."""

    def __init__(self, store: Store, system: str) -> None:
        """Read the journal. Raises CorruptError for an object of it that cannot be read."""
        self._store, self._system = store, system
        self._contents: defaultdict[str, Contents] = defaultdict(Contents)
        self._scans: list[tuple[str, Recorded]] = []
        self._changing = Lock()  # scans end at the same time
        with collector_paused():
            self._read()

    def record(self, run_id: str, scan: Scan) -> None:
        """Keep one scan with all that it found. Safe to run again: a scan is known by its run, scope and end."""
        digests = {_digest(finding): finding for finding in scan.findings}
        with self._changing:
            known = self._contents[scan.scope]
            new = {digest: finding for digest, finding in digests.items() if digest not in known}
        head = {
            "run_id": run_id,
            **scan.model_dump(mode="json", exclude={"findings"}),
            "findings": list(digests),
            "rows": len(new),
        }
        rows = [{"digest": digest, **_values(finding)} for digest, finding in new.items()]
        journal.append(self._store, self._system, _STREAM, [head, *rows], run_id)
        with self._changing:
            # Only now, for another scan of this run may name what lies in the journal, and nothing else.
            for digest, finding in new.items():
                known.keep(digest, finding)
            self._add(run_id, scan.scope, scan.state, scan.finished_at, digests)

    def scans(self) -> Iterator[tuple[str, Recorded]]:
        """All scans with the id of their run, each once."""
        known: set[tuple[str, str, datetime]] = set()
        for run_id, scan in self._scans:
            identity = (run_id, scan.scope, scan.finished_at)
            if identity not in known:
                known.add(identity)
                yield run_id, scan

    def _add(self, run_id: str, scope: str, state: ScanState, finished_at: datetime, digests: Iterable[str]) -> None:
        contents = self._contents[scope]
        self._scans.append((run_id, Recorded(scope, state, finished_at, contents, contents.marked(digests))))

    def _read(self) -> None:
        rows = journal.read(self._store, self._system, _STREAM)
        for head in rows:
            finished_at, state = datetime.fromisoformat(head["finished_at"]), ScanState(head["state"])
            self._add(head["run_id"], head["scope"], state, finished_at, head["findings"])
            for _ in range(head["rows"]):
                row = next(rows)
                self._contents[head["scope"]].keep(row["digest"], _finding(row))
        # Only at the end: another host may have recorded a content a moment after a scan that names it.
        for scope, contents in self._contents.items():
            if not contents.is_whole:
                raise CorruptError(
                    f"the journal of findings of '{self._system}' lacks what scans of {scope} name; restore "
                    f"{self._system}/history/{_STREAM} from the store's versions"
                )


def _values(finding: Finding) -> dict[str, Any]:
    return {name: str(getattr(finding, name)) for name in _FINDING}


def _digest(finding: Finding) -> str:
    return hashlib.sha256(json.dumps(_values(finding), sort_keys=True).encode()).hexdigest()[:32]


def _finding(row: Row) -> Finding:
    # Rows that this module wrote need no second validation; a ledger holds a hundred thousand of them.
    values = {name: row[name] for name in _FINDING}
    values |= {name: intern(row[name]) for name in _REPEATED}
    return Finding.model_construct(_FIELDS_SET, **values | {"severity": Severity(row["severity"])})
