"""What in a log's reviews lasts: attacks that were served, and logins that came after many failures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.base.clock import iso
from tasks.base.findings import Finding, Severity, identity_of
from tasks.base.log_review import LogReviewPolicy, LogSource
from tasks.logs.paths import AttackPaths
from tasks.repository.journal import Row


def scope_of(source: LogSource) -> str:
    """The scope of a log's findings."""
    return f"log {source.name}"


def findings_of(source: LogSource, policy: LogReviewPolicy, rows: Sequence[Row], now: datetime) -> list[Finding]:
    """The findings that the rows of all reviews of a log give today; no row proves that something is over.

    A served attack is gone when a later request for it was refused, when it is expected, or when nobody asked for
    `remember_days`; a login after failures after `remember_days`.
    """
    begin = (now - timedelta(days=policy.remember_days)).timestamp()
    return [*_served(source, rows, begin), *_logins(source, rows, begin)]


def _served(source: LogSource, rows: Sequence[Row], begin: float) -> list[Finding]:
    paths = AttackPaths(source.attack_paths, source.expected_paths)
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for path, one in row["attacks"].items():
            known = found.setdefault(path, {"last_served": 0.0, "last_refused": 0.0})
            known.update({name: one[name] for name in ("attack", "is_a_leak", "reference")})
            for name in ("last_served", "last_refused"):
                known[name] = max(known[name], one[name])
    return [
        _finding(
            source,
            "served-attack",
            Severity.HIGH if one["is_a_leak"] else Severity.MEDIUM,
            path,
            f"{one['attack']} ({one['reference']}): a request that attackers make was answered with success",
            path,
        )
        for path, one in found.items()
        if one["last_served"] > one["last_refused"] and one["last_served"] >= begin and not paths.is_expected(path)
    ]


def _logins(source: LogSource, rows: Sequence[Row], begin: float) -> list[Finding]:
    found = {(one["user"], one["source"]): one for row in rows for one in row["suspicious"] if one["at"] >= begin}
    return [
        _finding(
            source,
            "login-after-failures",
            Severity.HIGH,
            f"{user} from {address} at {iso(datetime.fromtimestamp(one['at'], UTC))}",
            f"a login that came after {one['failures']} failed ones from the same source",
            f"{user} {address}",
        )
        for (user, address), one in found.items()
    ]


def _finding(source: LogSource, rule: str, severity: Severity, location: str, title: str, identity: str) -> Finding:
    return Finding(
        identity=identity_of(scope_of(source), "log", rule, identity),
        scope=scope_of(source),
        kind="log",
        severity=severity,
        rule=rule,
        title=title,
        location=location,
    )
