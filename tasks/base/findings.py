"""Findings: a vulnerability, a secret, a wrong setting or role, and what a scan may say about a scope."""

import hashlib
import json
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tasks.base.attachments import Attachment
from tasks.base.words import CheckResult, Frozen


class Severity(StrEnum):
    """How bad a finding is, the worst first; UNKNOWN is what the scanner could not say."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    UNKNOWN = "UNKNOWN"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class Finding(Frozen):
    """One thing that is wrong at one place, as one scan saw it."""

    identity: str = Field(description="Stays the same over rebuilds, version bumps and moved lines, see `identity_of`")
    scope: str = Field(description="What was scanned, e.g. 'trivy image app'")
    kind: str = Field(description="vulnerability, secret, misconfiguration, role, …")
    severity: Severity
    rule: str = Field(description="Which vulnerability or rule, e.g. CVE-2019-19844")
    title: str = ""
    location: str = Field(default="", description="File, target or object inside the scope, with the line when known")
    package: str = ""
    installed_version: str = ""
    fixed_version: str = Field(default="", description="Empty: there is no fix yet")
    link: str = ""


def identity_of(scope: str, kind: str, *parts: str) -> str:
    """The identity of a finding: SHA-256 of what does not change while the same thing is still wrong, 32 digits."""
    return hashlib.sha256(json.dumps([scope, kind, *parts]).encode()).hexdigest()[:32]


class ScanState(StrEnum):
    """How a scan ended: exactly one of these. Only the first two say anything about what is not there."""

    CLEAN = "clean"
    FINDINGS = "findings"
    INCOMPLETE = "incomplete"
    FAILED = "failed"

    @property
    def is_complete(self) -> bool:
        """True when all of the scope was looked at, so that what was not found is not there."""
        return self in (ScanState.CLEAN, ScanState.FINDINGS)


class Scan(Frozen):
    """One scan of one scope."""

    scope: str
    state: ScanState
    reason: str = Field(default="", description="Why it is failed or incomplete, and what to do; one sentence")
    started_at: datetime
    finished_at: datetime
    tool: str = Field(default="", description="Program and version, e.g. 'trivy 0.76.0'")
    database_at: datetime | None = Field(default=None, description="When the vulnerability database was made")
    findings: tuple[Finding, ...] = ()
    checks: tuple[CheckResult, ...] = Field(
        default=(),
        exclude=True,
        description="Lines that a check says of this run itself; the ledger does not keep them",
    )
    attachments: tuple[Attachment, ...] = Field(
        default=(), exclude=True, description="Further tables and pictures of this run's report, as `checks`"
    )


def merged(findings: list[Finding]) -> tuple[Finding, ...]:
    """One finding an identity, the worst severity of those that share it, in order of severity and place."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.get(finding.identity)
        if known is None or finding.severity.rank < known.severity.rank:
            worst[finding.identity] = finding
    return tuple(sorted(worst.values(), key=lambda one: (one.severity.rank, one.scope, one.location, one.rule)))
