"""Looking at a scope so that it ends as exactly one of clean, findings, incomplete, failed."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import Field

from tasks.base.attachments import Attachment
from tasks.base.clock import utc_now
from tasks.base.errors import IncompleteError, NightshiftError, StoppedError
from tasks.base.findings import Finding, Scan, ScanState, Severity, merged
from tasks.base.words import CheckResult, Frozen, Verdict

# A scope, and the scan of it.
Scanning = tuple[str, Callable[[], Scan]]


class Looked(Frozen):
    """What a check saw: findings for the ledger, and lines for who reads the run."""

    findings: tuple[Finding, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    missing: str = Field(default="", description="Why not all was looked at, and what to do; nothing is closed then")
    attachments: tuple[Attachment, ...] = ()


def unknown(name: str, target: str, error: Exception | str, next_command: str = "", *, skip: bool = False) -> Looked:
    """Nothing is known of the target: red, or SKIP when it is this host that cannot tell. Nothing is closed.

    A stop of the whole run is no such answer: StoppedError is passed on.
    """
    if isinstance(error, StoppedError):
        raise error
    verdict = Verdict.SKIP if skip else Verdict.FAIL
    line = CheckResult(name=name, target=target, verdict=verdict, message=str(error), next_command=next_command)
    return Looked(checks=(line,), missing=str(error))


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """What a line says of them: FAIL from HIGH on, WARN for the others, OK for none."""
    if any(finding.severity.rank <= Severity.HIGH.rank for finding in findings):
        return Verdict.FAIL
    return Verdict.WARN if findings else Verdict.OK


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
    except OSError as error:
        state = ScanState.FAILED
        reason = (
            f"{error.filename or 'what the scan writes'}: {error.strerror}; mend that on this host, then scan again"
        )
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


def as_check(scope: str, tool: str, look: Callable[[], Looked]) -> Scan:
    """The scan that a check makes, with the lines of the check; one that fails says so in the scan's own line."""
    seen = Looked()

    def findings() -> list[Finding]:
        nonlocal seen
        seen = look()
        if seen.missing:
            raise PartlySeenError(seen.missing, list(seen.findings))
        return list(seen.findings)

    scan = as_scan(scope, tool, findings)
    return scan.model_copy(update={"checks": seen.checks, "attachments": seen.attachments})
