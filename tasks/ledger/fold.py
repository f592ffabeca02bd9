"""The ledger itself: every scan in order of its time, folded into the life of each finding."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from tasks.base.collector import collector_paused
from tasks.base.findings import Finding, ScanState, Severity
from tasks.ledger.deadlines import DueTime
from tasks.ledger.models import Entry, SeverityChange
from tasks.ledger.trend import Trend

# All models of one kind share the set of their fields' names, which would be half of their memory.
_ENTRY, _CHANGE = set(Entry.model_fields), set(SeverityChange.model_fields)


class Observed(Protocol):
    """A scan as far as the ledger regards it."""

    @property
    def scope(self) -> str:
        """What was scanned."""

    @property
    def state(self) -> ScanState:
        """Whether it says anything about what is not there."""

    @property
    def finished_at(self) -> datetime:
        """The moment of all that it saw."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What it saw; asked for once, when its turn comes."""


class _Life:
    """A finding while the fold runs; plain attributes, for a ledger has many."""

    __slots__ = (
        "due_at",
        "finding",
        "first_seen",
        "fixed_at",
        "fixed_in",
        "last_seen",
        "opened_at",
        "reopened",
        "severities",
    )

    def __init__(self, finding: Finding, at: datetime, due_at: datetime | None) -> None:
        self.finding = finding
        self.first_seen = self.opened_at = self.last_seen = at
        self.due_at = due_at
        self.severities: tuple[SeverityChange, ...] = _change(at, finding.severity)
        self.fixed_at: datetime | None = None
        self.fixed_in = ""
        self.reopened = 0

    def seen(self, finding: Finding, at: datetime, due: DueTime) -> bool:
        """It was seen again; True when it had been fixed."""
        before, self.finding, self.last_seen = self.finding, finding, at
        if finding is before and self.fixed_at is None:
            return False  # the book gives the same object for the same content
        changed = finding.severity is not before.severity
        if changed:
            self.severities += _change(at, finding.severity)
        if self.fixed_at is not None:
            self.fixed_at, self.fixed_in, self.opened_at = None, "", at
            self.reopened += 1
            self.due_at = due(finding, at)
            return True
        if changed and finding.severity.rank < before.severity.rank:
            self.due_at = _earlier(self.due_at, due(finding, at))
        elif changed or bool(finding.fixed_version) != bool(before.fixed_version):
            self.due_at = due(finding, self.opened_at)
        return False

    def entry(self) -> Entry:
        """What the ledger tells of it."""
        return Entry.model_construct(
            _ENTRY,
            finding=self.finding,
            first_seen=self.first_seen,
            last_seen=self.last_seen,
            opened_at=self.opened_at,
            severities=self.severities,
            due_at=self.due_at,
            fixed_at=self.fixed_at,
            fixed_in=self.fixed_in,
            reopened_count=self.reopened,
        )


def fold(scans: Iterable[tuple[str, Observed]], due: DueTime, trend: Trend | None = None) -> dict[str, Entry]:
    """The ledger after all scans (run id, scan), by identity, in the order in which findings were first seen.

    A finding is fixed only by a complete scan of its own scope that does not see it; incomplete scans add what they
    saw and close nothing, failed ones say nothing. A severity that rises gives the deadline of the new one, counted
    from the rise, unless the old one was sooner; one that falls gives the new one's, counted from the opening.
    A `trend` is told what happened when, and sees how it stood at the end of each month.
    """
    with collector_paused():
        lives = _lives(scans, due, trend)
        # One by one, so that no finding's life is held twice.
        return {identity: lives.pop(identity).entry() for identity in list(lives)}


def _lives(scans: Iterable[tuple[str, Observed]], due: DueTime, trend: Trend | None) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    open_in: defaultdict[str, set[str]] = defaultdict(set)
    for run_id, scan in sorted(scans, key=lambda one: (one[1].finished_at, one[0])):
        at, seen, opened_count = scan.finished_at, set(), 0
        if trend is not None:
            trend.advance(at, lives.values())
        for finding in scan.findings:
            life = lives.get(finding.identity)
            if life is None:
                lives[finding.identity] = _Life(finding, at, due(finding, at))
                opened_count += 1
            else:
                opened_count += life.seen(finding, at, due)
            seen.add(finding.identity)
        opened = open_in[scan.scope]
        opened |= seen
        gone = opened - seen if scan.state.is_complete else set()
        for identity in gone:
            lives[identity].fixed_at, lives[identity].fixed_in = at, run_id
        opened -= gone
        if trend is not None:
            trend.happened(opened_count, [at - lives[identity].opened_at for identity in gone])
    return lives


@lru_cache(maxsize=1024)
def _change(at: datetime, severity: Severity) -> tuple[SeverityChange]:
    """A scan gives the same object to all findings that it sees for the first time."""
    return (SeverityChange.model_construct(_CHANGE, at=at, severity=severity),)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
