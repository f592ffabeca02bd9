"""How a scan ended: exactly one of clean, findings, incomplete, failed."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tasks.base.clock import utc_now
from tasks.base.errors import IncompleteError, NightshiftError, StoppedError, ToolFailedError
from tasks.base.findings import Finding, Scan, ScanState, merged
from tasks.base.programs import Finished, Program, run

_NAMED_PLACES = 3


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


class PartlySeenError(IncompleteError):
    """Not all was looked at; what was found is told all the same, and closes nothing."""

    def __init__(self, message: str, findings: list[Finding]) -> None:
        super().__init__(message)
        self.findings = findings


def run_scanner(program: Program) -> Finished:
    """Run a scanner. Past its deadline it has not seen all: IncompleteError; else errors as of `programs.run`."""
    try:
        return run(program)
    except ToolFailedError as error:
        if not error.retryable:
            raise
        raise IncompleteError(f"{error}; give it more time in security.timeout_seconds") from None


def require_readable(folder: Path) -> None:
    """Raise ToolFailedError when the folder is missing or empty, IncompleteError when parts of it cannot be read.

    Scanners pass over what they may not read, and then call the rest clean.
    """
    if not folder.is_dir():
        raise ToolFailedError(f"{folder} is no folder on this host; correct its path in the system file")
    hidden: list[str] = []
    files = 0

    def note(error: OSError) -> None:
        hidden.append(str(error.filename))

    for place, folders, names in os.walk(folder, onerror=note):
        files += len(names)
        hidden += [
            path
            for name in (*folders, *names)
            if not os.path.islink(path := os.path.join(place, name))  # noqa: PTH114, PTH118 - a million of them
            and not os.access(path, os.R_OK)
        ]
    if hidden:
        named = ", ".join(sorted(set(hidden))[:_NAMED_PLACES])
        raise IncompleteError(
            f"{len(set(hidden))} places in {folder} cannot be read by this user, such as {named}; "
            "give the right, or let a user who has it run the scan"
        )
    if not files:
        raise ToolFailedError(f"{folder} holds no file: there is nothing that could be clean; correct its path")
