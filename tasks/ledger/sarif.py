"""The ledger as SARIF 2.1.0, for programs that show findings; what was not looked at stands there as a failed run.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from tasks.base.attachments import Document
from tasks.base.clock import iso
from tasks.base.findings import Scan, Severity
from tasks.ledger.models import Change, Status
from tasks.ledger.report import LedgerResult, Row

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.LOW: "note"}
# The middle of each band of CVSS 3.1's rating scale: programs that show SARIF sort by it.
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}
_BASELINE = {
    Change.NEW: "new",
    Change.REOPENED: "new",
    Change.WORSE: "updated",
    Change.MILDER: "updated",
    Change.NONE: "unchanged",
    Change.FIXED: "absent",
}
_IN_FILES = ("vulnerability", "secret", "misconfiguration")
_PLACE = re.compile(r"(?P<path>.+?)(?::(?P<line>[1-9]\d*))?(?: in [0-9a-f]{7,40})?")
Json = dict[str, Any]


def sarif_of(result: LedgerResult, scans: Sequence[Scan], former_run: str | None) -> Document:
    """One SARIF run: every open finding, and as absent those that were fixed since the report before.

    `former_run` is the id of that report's run; without one there is no baseline to compare with.
    """
    shown = [
        row
        for row in result.rows
        if row["status"] != Status.FIXED or (former_run is not None and row["change"] == Change.FIXED)
    ]
    rules = {row["rule"]: row for row in reversed(shown)}
    places = {rule: number for number, rule in enumerate(sorted(rules))}
    run: Json = {
        "tool": {
            "driver": {
                "name": "Nightshift",
                "version": version("nightshift"),
                "rules": [_rule(rules[rule]) for rule in places],
            },
            "extensions": [_tool(name) for name in sorted({scan.tool for scan in scans if scan.tool})],
        },
        "automationDetails": {
            "id": f"{result.flow}/{result.system}/{result.run_id}",
            "guid": _guid(result, result.run_id),
        },
        "invocations": [_invocation(result, scans)],
        "originalUriBaseIds": {
            scope: {"description": {"text": f"Root of what was scanned as '{scope}'"}}
            for scope in sorted({row["scope"] for row in shown if _is_file(row)})
        },
        "results": [_result(row, places[row["rule"]], compared=former_run is not None) for row in shown],
    }
    if former_run is not None:
        run["baselineGuid"] = _guid(result, former_run)
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return Document(name="report", ending="sarif", content=log)


def _rule(row: Row) -> Json:
    rule: Json = {"id": row["rule"], "shortDescription": {"text": row["title"] or row["rule"]}}
    if urlsplit(row["link"]).scheme in ("http", "https"):
        rule["helpUri"] = quote(row["link"], safe=":/?#[]@!$&'()*+,;=%~")
    properties: Json = {"tags": ["security", row["kind"]]}
    if row["severity"] in _SCORES:
        properties["security-severity"] = _SCORES[row["severity"]]
    return rule | {"properties": properties}


def _tool(said: str) -> Json:
    name, _, release = said.partition(" ")
    return {"name": name, **({"version": release} if release else {})}


def _invocation(result: LedgerResult, scans: Sequence[Scan]) -> Json:
    """Whether all was looked at, and what was not: a reader must not take missing results for none."""
    unseen = [scan for scan in scans if not scan.state.is_complete]
    return {
        "executionSuccessful": bool(scans) and not unseen,
        "startTimeUtc": iso(result.started_at),
        "endTimeUtc": iso(result.finished_at),
        "toolExecutionNotifications": [
            {"level": "error", "message": {"text": f"{scan.scope} {scan.state}: {scan.reason}"}} for scan in unseen
        ],
    }


def _result(row: Row, rule_index: int, *, compared: bool) -> Json:
    found: Json = {
        "ruleId": row["rule"],
        "ruleIndex": rule_index,
        "level": _LEVELS.get(row["severity"], "warning"),
        "message": {"text": _message(row)},
        "locations": [_location(row)],
        "partialFingerprints": {"nightshift/v1": row["identity"]},
        "provenance": {"firstDetectionTimeUtc": row["first_seen"], "lastDetectionTimeUtc": row["last_seen"]},
        "suppressions": [_suppression(row)] if row["status"] == Status.EXEMPT else [],
        "properties": {
            name: row[name] for name in ("status", "severity", "scope", "due_at", "overdue_hours", "owner") if row[name]
        },
    }
    if compared:
        found["baselineState"] = _BASELINE[Change(row["change"])]
    return found


def _message(row: Row) -> str:
    what = row["title"] or row["rule"]
    if not row["package"]:
        return f"{row['severity']}: {what}"
    fixed = f"fixed in {row['fixed_version']}" if row["fixed_version"] else "no fixed version yet"
    return f"{row['severity']}: {what}; {row['package']} {row['installed_version']}, {fixed}"


def _suppression(row: Row) -> Json:
    said = f"{row['exception']} ({row['owner']}, until {row['exception_ends']})"
    return {"kind": "external", "status": "accepted", "justification": said}


def _is_file(row: Row) -> bool:
    """True when the location is a path below the scope's root, not an image's or object's name."""
    return row["kind"] in _IN_FILES and bool(row["location"]) and not row["location"].endswith(")")


def _location(row: Row) -> Json:
    logical = {"fullyQualifiedName": f"{row['scope']}/{row['location']}", "name": row["location"] or row["scope"]}
    place: Json = {"logicalLocations": [logical]}
    parts = _PLACE.fullmatch(row["location"]) if _is_file(row) else None
    if parts is not None:
        # Relative to the scope; a colon in it must not look like a scheme.
        uri = quote(parts["path"].lstrip("/"), safe="/")
        place["physicalLocation"] = {"artifactLocation": {"uri": uri, "uriBaseId": row["scope"]}}
        if parts["line"]:
            place["physicalLocation"]["region"] = {"startLine": int(parts["line"])}
    return place


def _guid(result: LedgerResult, run_id: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"nightshift/{result.system}/{result.flow}/{run_id}"))
