"""Accounts and what they may do, as one look at a server, a host or a cluster saw them."""

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic import Field

from tasks.base.findings import Finding, Severity, identity_of
from tasks.base.scans import PartlySeenError
from tasks.base.words import Frozen

# Severity and what it means, by rule.
Rules = Mapping[str, tuple[Severity, str]]


class Account(Frozen):
    """One account, role or subject of a binding, and its rights."""

    scope: str = Field(description="Where, e.g. 'postgres shop' or 'host web1'")
    name: str = Field(description="Who, as it is called there")
    kind: str = Field(description="database role, host account, ServiceAccount, …")
    rights: tuple[str, ...] = Field(description="What it may do, a phrase each, sorted")
    can_log_in: bool = Field(description="False: disabled, or without password, key and shell")
    last_seen: datetime | None = Field(default=None, description="When it was used at the latest, as far as is known")
    seen_by: str = Field(default="", description="What tells of its use, or why nothing does")
    statements: int | None = Field(
        default=None, description="How many of its statements the server had counted then; None: it counts none"
    )


class Seen(Frozen):
    """What one look at one scope saw."""

    scope: str
    accounts: tuple[Account, ...] = ()
    findings: tuple[Finding, ...] = ()
    gaps: tuple[str, ...] = Field(default=(), description="What could not be read, each with what would settle it")


# How one scope is looked at.
Look = Callable[[], Seen]


def findings_of(seen: Seen) -> list[Finding]:
    """The findings of a look that saw all. Raises PartlySeenError, which holds them, when there are gaps."""
    found = list(seen.findings)
    if seen.gaps:
        raise PartlySeenError("; ".join(seen.gaps), found)
    return found


def access_finding(rules: Rules, scope: str, rule: str, thing: str, detail: str = "") -> Finding:
    """A finding of an audit: the rule and the thing are its identity, the detail (a line, a date) is not."""
    severity, meaning = rules[rule]
    return Finding(
        identity=identity_of(scope, "access", rule, thing),
        scope=scope,
        kind="access",
        severity=severity,
        rule=rule,
        title=meaning,
        location=f"{thing} ({detail})" if detail else thing,
    )
