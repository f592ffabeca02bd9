"""Pending security updates of this host, and whether it waits for a reboot."""

import socket
from datetime import timedelta
from functools import partial
from pathlib import Path

from tasks.base.attachments import Table
from tasks.base.clock import iso, utc_now
from tasks.base.errors import NightshiftError
from tasks.base.findings import Finding, Scan, Severity, identity_of
from tasks.base.scans import Looked, Scanning, as_check, unknown
from tasks.base.security_check import UpdatePolicy
from tasks.base.words import CheckResult, Verdict
from tasks.host import packages
from tasks.host.packages import Pending, Update

# Debian's and Ubuntu's packages write it, and its .pkgs beside it.
_REBOOT = Path("/run/reboot-required")
_HOUR = timedelta(hours=1)
_TOLD = 10


def update_checks(policy: UpdatePolicy | None) -> list[Scanning]:
    """One look at the host that runs the flow, when the system file asks for it."""
    return [] if policy is None else [(_scope(), partial(check_updates, policy))]


def check_updates(policy: UpdatePolicy, reboot: Path = _REBOOT) -> Scan:
    """A finding for each package with a pending security update; lists that are too old make it incomplete."""
    return as_check(_scope(), "apt or dnf", partial(_look, policy, reboot))


def _look(policy: UpdatePolicy, reboot: Path) -> Looked:
    host = socket.gethostname()
    try:
        if packages.has_apt():
            pending = packages.apt_pending(policy)
        elif packages.has_dnf():
            pending = packages.dnf_pending(policy)
        else:
            said = "neither apt nor dnf is on this host, so nobody knows of its updates; look by hand"
            return unknown("security updates", host, said, skip=True)
    except NightshiftError as error:
        return unknown("security updates", host, error, "apt list --upgradable")
    security = [one for one in pending.updates if one.is_security]
    findings = [_finding(host, one) for one in security]
    lines = [_line(host, pending, security)]
    if reboot.exists():
        findings.append(_waiting(host))
        message = f"a reboot is asked for, so what was updated may still run in its old version{_asked_by(reboot)}"
        lines.append(CheckResult(name="reboot", target=host, verdict=Verdict.WARN, message=message))
    missing = _too_old(pending, policy)
    if missing:
        lines.append(
            CheckResult(
                name="package lists",
                target=host,
                verdict=Verdict.INCOMPLETE,
                message=missing,
                next_command="sudo apt-get update",
            )
        )
    rows = tuple(one.model_dump(mode="json") for one in pending.updates)
    table = Table(name="updates", title="Pending updates", header=tuple(Update.model_fields), rows=rows)
    return Looked(findings=tuple(findings), checks=tuple(lines), missing=missing, attachments=(table,))


def _line(host: str, pending: Pending, security: list[Update]) -> CheckResult:
    others = len(pending.updates) - len(security)
    told = ", ".join(f"{one.package} {one.candidate}" for one in security[:_TOLD])
    rest = f" … and {len(security) - _TOLD} more" if len(security) > _TOLD else ""
    count = (
        f"{len(security)} security updates are pending: {told}{rest}" if security else "no security update is pending"
    )
    command = {"apt": "sudo apt-get update && sudo apt-get dist-upgrade", "dnf": "sudo dnf upgrade --security"}
    return CheckResult(
        name="security updates",
        target=host,
        verdict=Verdict.WARN if security else Verdict.OK,
        message=f"{count}{f'; {others} other updates' if others else ''}",
        value=len(security),
        unit="count",
        next_command=command[pending.program] if security else "",
    )


def _too_old(pending: Pending, policy: UpdatePolicy) -> str:
    if pending.lists_at is None:
        return ""
    age = (utc_now() - pending.lists_at) / _HOUR
    if age <= policy.max_age_hours:
        return ""
    since = f"are of {iso(pending.lists_at)}, {age:.0f} h old" if pending.lists_at.timestamp() else "were never fetched"
    return (
        f"the package lists {since}, the limit is {policy.max_age_hours:g} h: there may be more updates than these; "
        "fetch them, and enable apt's timer (systemctl enable --now apt-daily.timer)"
    )


def _finding(host: str, one: Update) -> Finding:
    return Finding(
        identity=identity_of(_scope(), "update", one.package),
        scope=_scope(),
        kind="update",
        severity=one.severity,
        rule="security-update",
        title=f"a security update is pending {one.advisory}".strip(),
        location=host,
        package=one.package,
        installed_version=one.installed,
        fixed_version=one.candidate,
    )


def _waiting(host: str) -> Finding:
    return Finding(
        identity=identity_of(_scope(), "update", "reboot"),
        scope=_scope(),
        kind="update",
        severity=Severity.MEDIUM,
        rule="reboot-required",
        title="what was updated runs in its old version until the host is booted again",
        location=host,
        fixed_version="after a reboot",
    )


def _asked_by(reboot: Path) -> str:
    try:
        names = sorted(set(reboot.with_name(f"{reboot.name}.pkgs").read_text().split()))
    except OSError:
        return ""
    return f" ({', '.join(names[:_TOLD])})"


def _scope() -> str:
    return f"updates {socket.gethostname()}"
