"""Findings that may stay for a while: the file NAME.exceptions.yaml beside the system's, and what it covers today."""

from collections.abc import Iterable, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from tasks.base.findings import Finding
from tasks.base.security import Exemption
from tasks.base.words import CheckResult, Verdict

_STATES = ("ended", "unused", "holds")


def exemption_of(finding: Finding, exemptions: Iterable[Exemption], today: date) -> Exemption | None:
    """The first entry that covers the finding and has not ended; None when there is none."""
    return next((one for one in exemptions if today <= one.ends and covers(one, finding)), None)


def covers(exemption: Exemption, finding: Finding) -> bool:
    """True when all patterns of the entry match, whatever its end."""
    return (
        fnmatchcase(finding.rule, exemption.rule)
        and fnmatchcase(finding.scope, exemption.scope)
        and fnmatchcase(finding.location, exemption.location)
        and fnmatchcase(finding.package, exemption.package)
    )


def rows(exemptions: Iterable[Exemption], open_findings: Sequence[Finding], today: date) -> list[dict[str, Any]]:
    """Each entry with its state: ended (loudly first), unused, or holds; and how many open findings it covers."""
    found = []
    for one in exemptions:
        covered = sum(covers(one, finding) for finding in open_findings)
        state = "unused" if not covered else "ended" if today > one.ends else "holds"
        found.append({"state": state, "covered": covered, **one.model_dump(mode="json")})
    return sorted(found, key=lambda row: (_STATES.index(row["state"]), row["ends"]))


def checks(exemptions: Iterable[Exemption], open_findings: Iterable[Finding], today: date) -> list[CheckResult]:
    """What is wrong with the entries: ended while the finding is still there (FAIL), or of no use (WARN)."""
    found, still_open = [], list(open_findings)
    for one in exemptions:
        covered = sum(covers(one, finding) for finding in still_open)
        target = f"{one.rule} in {one.scope}"
        if not covered:
            message = f"covers no open finding; take it out of the file, or correct its patterns (owner: {one.owner})"
            found.append(CheckResult(name="exception", target=target, verdict=Verdict.WARN, message=message))
        elif today > one.ends:
            message = (
                f"ended on {one.ends.isoformat()} and its {covered} findings are still there; fix them, or let "
                f"{one.owner} decide anew"
            )
            found.append(CheckResult(name="exception", target=target, verdict=Verdict.FAIL, message=message))
    return found
