"""When a finding must be gone: hours by severity, or the end of the next maintenance window."""

from collections.abc import Callable
from datetime import datetime, timedelta

from tasks.base.findings import Finding, Severity
from tasks.base.maintenance import next_opening
from tasks.base.system import System

# Given a finding and the moment from which its time runs: when it is due, None for never.
DueTime = Callable[[Finding, datetime], datetime | None]


def due_time(system: System) -> DueTime:
    """The system's policy as a function of a finding and the moment from which its time runs.

    Medium findings without an own number of hours are due at the end of the first maintenance window that opens
    after that moment; a ledger holds many findings of one scan, so each moment's window is computed once.
    """
    policy = system.security
    known: dict[datetime, datetime | None] = {}

    def window_end(since: datetime) -> datetime | None:
        if since not in known:
            found = next_opening(system.maintenance.windows, since, system.timezone)
            known[since] = found.end if found else None
        return known[since]

    def due(finding: Finding, since: datetime) -> datetime | None:
        if policy.ignore_unfixed_deadlines and finding.kind == "vulnerability" and not finding.fixed_version:
            return None
        hours = policy.deadlines.hours(finding.severity)
        if hours is not None:
            return since + timedelta(hours=hours)
        return window_end(since) if finding.severity is Severity.MEDIUM else None

    return due
