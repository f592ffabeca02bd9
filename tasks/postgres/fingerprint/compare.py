"""Comparing a restored copy with the fingerprint of its source. Each difference names its place."""

from tasks.base.system import FingerprintMode
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.fingerprint.models import Fingerprint, TableFingerprint

# The server writes the text of these definitions itself, and writes it differently from version to version;
# an extension comes back in the version that belongs to the sandbox's server, a dump names none.
_DEPARSED = (
    "extension ",
    "column ",
    "constraint ",
    "index ",
    "view ",
    "materialized view ",
    "trigger ",
    "policy ",
    "grant ",
)


def compare(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    """All differences, and what could not be compared; empty when the copy is what the source held."""
    return [
        *_tables(source, restored),
        *_sequences(source, restored),
        *_objects(source, restored),
        *_large_objects(source, restored),
        *(_result(reason, Verdict.SKIP, "not compared by content, as configured") for reason in source.not_compared),
    ]


def _result(target: str, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="fingerprint", target=target, verdict=verdict, message=message)


def _tables(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    found = {table.label: table for table in restored.tables}
    wrong = {table.label: _table_wrong(table, found.pop(table.label, None)) for table in source.tables}
    wrong |= dict.fromkeys(found, "is in the copy, but was not in the source")
    return [_result(f"table {label}", Verdict.FAIL, message) for label, message in wrong.items() if message]


def _table_wrong(table: TableFingerprint, restored: TableFingerprint | None) -> str:
    if restored is None:
        return "is missing in the copy"
    if table.mode is FingerprintMode.OFF:
        return ""
    if table.rows != restored.rows:
        return f"has {restored.rows} rows, the source had {table.rows}"
    if table.mode is FingerprintMode.CONTENT and table.content_hash != restored.content_hash:
        return f"has other content than the source, in its {table.rows} rows"
    return ""


def _sequences(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    values = {sequence.name: sequence.before for sequence in restored.sequences}
    results = []
    for sequence in source.sequences:
        low, high = sorted((sequence.before, sequence.after))
        value = values.get(sequence.name)
        if value is None:
            results.append(_result(f"sequence {sequence.name}", Verdict.FAIL, "is missing in the copy"))
        elif not low <= value <= high:
            message = f"stands at {value}, the source stood between {low} and {high}"
            results.append(_result(f"sequence {sequence.name}", Verdict.FAIL, message))
    return results


def _objects(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    other_major = source.server_version_num // 10000 != restored.server_version_num // 10000
    results, not_comparable = [], 0
    for name, definition in source.objects.items():
        if name not in restored.objects:
            results.append(_result(name, Verdict.FAIL, "is missing in the copy"))
        elif restored.objects[name] != definition:
            if other_major and name.startswith(_DEPARSED):
                not_comparable += 1
            else:
                results.append(_result(name, Verdict.FAIL, "is defined otherwise than in the source"))
    results += [
        _result(name, Verdict.FAIL, "is in the copy, but was not in the source")
        for name in restored.objects
        if name not in source.objects
    ]
    if not_comparable:
        message = f"{not_comparable} definitions are written otherwise by the sandbox's version; compare them by eye"
        results.append(_result("definitions", Verdict.SKIP, message))
    return results


def _large_objects(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    if not source.large_objects_hash:
        return []
    if source.large_objects != restored.large_objects:
        message = f"{restored.large_objects} came back, the source had {source.large_objects}"
        return [_result("large objects", Verdict.FAIL, message)]
    if source.large_objects_hash != restored.large_objects_hash:
        return [_result("large objects", Verdict.FAIL, "their content is other than in the source")]
    return []
