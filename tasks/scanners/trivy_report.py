"""Trivy's report (schema version 2) as findings whose identity survives rebuilds, bumps and moved lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.base.errors import IncompleteError, ToolFailedError
from tasks.base.findings import Finding, Severity, identity_of
from tasks.scanners.limits import last_line

_SCHEMA_VERSION = 2
Json = dict[str, Any]


def read(path: Path, scope: str, kind: str, said: str) -> list[Finding]:
    """The findings of a report. `said` is the end of what Trivy wrote beside it.

    Raises ToolFailedError when it is no report of that schema, and IncompleteError when it lists no package of an
    image or host: nothing was compared with the database then.
    """
    try:
        report = json.loads(path.read_bytes())
        results = [result for result in report.get("Results") or [] if isinstance(result, dict)]
        known = report.get("SchemaVersion") == _SCHEMA_VERSION
    except (OSError, ValueError, AttributeError):
        known = False
    if not known:
        raise ToolFailedError(f"trivy wrote no report that can be read; it said: {last_line(said)}")
    if kind in ("image", "rootfs") and not any(result.get("Packages") for result in results):
        raise IncompleteError(
            "trivy found no package in it, so nothing was compared with the vulnerability database; "
            "look whether this is the image or root folder that was meant"
        )
    return [finding for result in results for finding in _findings(result, scope)]


def _findings(result: Json, scope: str) -> Iterator[Finding]:
    # The target of system packages names tag and release of the image, which change; their kind does not.
    place = str(result.get("Type")) if result.get("Class") == "os-pkgs" else str(result.get("Target"))
    for found in result.get("Vulnerabilities") or []:
        yield _vulnerability(found, scope, place, str(result.get("Target")))
    for found in result.get("Misconfigurations") or []:
        if found.get("Status", "FAIL") == "FAIL":
            yield _misconfiguration(found, scope, place)
    for found in result.get("Secrets") or []:
        yield _secret(found, scope, place)


def _vulnerability(found: Json, scope: str, place: str, target: str) -> Finding:
    package, rule = str(found.get("PkgName")), str(found.get("VulnerabilityID"))
    return Finding(
        identity=identity_of(scope, "vulnerability", place, package, rule),
        scope=scope,
        kind="vulnerability",
        severity=_severity(found),
        rule=rule,
        title=str(found.get("Title") or ""),
        location=str(found.get("PkgPath") or target),
        package=package,
        installed_version=str(found.get("InstalledVersion") or ""),
        fixed_version=str(found.get("FixedVersion") or ""),
        link=str(found.get("PrimaryURL") or ""),
    )


def _misconfiguration(found: Json, scope: str, place: str) -> Finding:
    cause = found.get("CauseMetadata") or {}
    rule, resource = str(found.get("ID")), str(cause.get("Resource") or "")
    return Finding(
        identity=identity_of(scope, "misconfiguration", place, resource, rule),
        scope=scope,
        kind="misconfiguration",
        severity=_severity(found),
        rule=rule,
        title=str(found.get("Title") or ""),
        location=_with_line(place, cause.get("StartLine")),
        link=str(found.get("PrimaryURL") or ""),
    )


def _secret(found: Json, scope: str, place: str) -> Finding:
    rule = str(found.get("RuleID"))
    # Trivy masks the secret itself; the masked text around it tells two of one rule in one file apart.
    return Finding(
        identity=identity_of(scope, "secret", place, rule, str(found.get("Match"))),
        scope=scope,
        kind="secret",
        severity=_severity(found),
        rule=rule,
        title=str(found.get("Title") or ""),
        location=_with_line(place, found.get("StartLine")),
    )


def _severity(found: Json) -> Severity:
    said = str(found.get("Severity", "")).upper()
    return Severity(said) if said in Severity.__members__ else Severity.UNKNOWN


def _with_line(place: str, line: object) -> str:
    return f"{place}:{line}" if line else place
