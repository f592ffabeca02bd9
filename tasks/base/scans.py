"""Looking at a scope so that it ends as exactly one of clean, findings, incomplete, failed."""

from collections.abc import Callable
from datetime import datetime

from tasks.base.clock import utc_now
from tasks.base.errors import IncompleteError, NightshiftError, StoppedError
from tasks.base.findings import Finding, Scan, ScanState, merged

# A scope, and the scan of it.
Scanning = tuple[str, Callable[[], Scan]]


class PartlySeenError(IncompleteError):
    """Not all was looked at; what was found is told all the same, and closes nothing."""

    def __init__(self, message: str, findings: list[Finding]) -> None:
        super().__init__(message)
        self.findings = findings


def as_scan(scope: str, tool: str, look: Callable[[], list[Finding]], database_at: datetime | None = None) -> Scan:
    """Look, and tell how it went. `look` raises IncompleteError when it did not see all, other errors when it failed.

    A stop of the whole run is no result of this scan: StoppedError is passed on.
    """
    started = utc_now()
    findings: tuple[Finding, ...] = ()
    try:
        findings = merged(look())
        state, reason = (ScanState.FINDINGS if findings else ScanState.CLEAN), ""
    except StoppedError:
        raise
    except PartlySeenError as error:
        state, reason, findings = ScanState.INCOMPLETE, str(error), merged(error.findings)
    except IncompleteError as error:
        state, reason = ScanState.INCOMPLETE, str(error)
    except NightshiftError as error:
        state, reason = ScanState.FAILED, str(error)
    return Scan(
        scope=scope,
        state=state,
        reason=reason,
        started_at=started,
        finished_at=utc_now(),
        tool=tool,
        database_at=database_at,
        findings=findings,
    )
