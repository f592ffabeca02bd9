"""Findings, scans and whole histories of them, for tests of the ledger."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from tasks.base.findings import Finding, Scan, ScanState, Severity, identity_of
from tasks.base.security import Exemption
from tasks.base.system import System
from tasks.ledger.deadlines import due_time
from tasks.ledger.fold import fold

START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


def system(**security):
    return System.model_validate(
        {
            "name": "acme",
            "databases": [{"name": "shop", "dsn": "service=shop"}],
            "repository": {"url": "file:///nowhere"},
            "maintenance": {"windows": [{"weekday": "saturday", "start": "00:00", "end": "04:00"}]},
            "security": security,
        }
    )


def finding(rule="CVE-1", severity=Severity.HIGH, scope="trivy image app", package="openssl", **more):
    return Finding(
        identity=identity_of(scope, "vulnerability", package, rule),
        scope=scope,
        severity=severity,
        rule=rule,
        package=package,
        **{"kind": "vulnerability", "fixed_version": "2", **more},
    )


def scan(at, *findings, state=None, scope="trivy image app"):
    state = state or (ScanState.FINDINGS if findings else ScanState.CLEAN)
    return f"run-{at:%d%H%M}", Scan(scope=scope, state=state, started_at=at, finished_at=at, findings=findings)


def ledger(*scans, **security):
    return fold(scans, due_time(system(**security)))


def only(*scans, **security):
    (entry,) = ledger(*scans, **security).values()
    return entry


def exemption(ends, **patterns):
    return Exemption(reason="the parser is not reachable", owner="ada", ends=ends, **{"rule": "CVE-1", **patterns})


rules, severities = st.sampled_from(["CVE-1", "CVE-2", "CVE-3"]), st.sampled_from(list(Severity))
scopes, states = st.sampled_from(["trivy image app", "trivy fs app"]), st.sampled_from(list(ScanState))


@st.composite
def histories(draw):
    """Scans of two scopes at random moments; those that say nothing hold nothing."""
    scans = []
    for hours in draw(st.lists(st.integers(0, 2000), max_size=20, unique=True)):
        scope, state = draw(scopes), draw(states)
        found = draw(st.dictionaries(rules, severities)) if state in (ScanState.FINDINGS, ScanState.INCOMPLETE) else {}
        findings = [finding(rule=rule, severity=severity, scope=scope) for rule, severity in found.items()]
        scans.append(scan(START + timedelta(hours=hours), *findings, state=state, scope=scope))
    return scans
