"""The life of a finding, as the ledger tells it."""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from tasks.base.findings import Finding, Severity
from tasks.base.words import Frozen


class Status(StrEnum):
    """Where a finding stands now, what needs a person first."""

    OVERDUE = "overdue"
    OPEN = "open"
    EXEMPT = "exempt"
    FIXED = "fixed"


class Change(StrEnum):
    """What happened to a finding since the report before."""

    NEW = "new"
    REOPENED = "reopened"
    WORSE = "worse"
    MILDER = "milder"
    FIXED = "fixed"
    NONE = ""


class SeverityChange(Frozen):
    """A severity, and since when it was seen."""

    at: datetime
    severity: Severity


class Entry(Frozen):
    """One finding over time. Times are aware UTC."""

    finding: Finding = Field(description="As it was last seen")
    first_seen: datetime = Field(description="Never changes, also when it comes back")
    last_seen: datetime
    opened_at: datetime = Field(description="Since when it is there without a gap: first seen, or seen again")
    severities: tuple[SeverityChange, ...] = Field(description="Its severity history, the first one first")
    due_at: datetime | None = Field(default=None, description="None: the policy sets no deadline for it")
    fixed_at: datetime | None = Field(default=None, description="When a complete scan no longer saw it; None: open")
    fixed_in: str = Field(default="", description="Run of the scan that no longer saw it")
    reopened_count: int = Field(default=0, description="How often it came back after it was fixed")

    def status(self, now: datetime, *, exempt: bool) -> Status:
        """Where it stands at that moment."""
        if self.fixed_at is not None:
            return Status.FIXED
        if exempt:
            return Status.EXEMPT
        return Status.OVERDUE if self.due_at is not None and self.due_at < now else Status.OPEN

    def change(self, since: datetime | None) -> Change:
        """What happened to it after that moment; without one, nothing was ever told."""
        if self.fixed_at is not None:
            return Change.FIXED if since is None or self.fixed_at > since else Change.NONE
        if since is None or self.opened_at > since:
            return Change.NEW if since is None or self.first_seen > since else Change.REOPENED
        before = [change.severity for change in self.severities if change.at <= since]
        steps = self.finding.severity.rank - before[-1].rank
        return Change.WORSE if steps < 0 else Change.MILDER if steps > 0 else Change.NONE

    def overdue_hours(self, now: datetime) -> float:
        """How long it is overdue, in hours; 0 when it is not."""
        late = now - self.due_at if self.due_at is not None and self.fixed_at is None else timedelta()
        return max(0.0, round(late / timedelta(hours=1), 1))
