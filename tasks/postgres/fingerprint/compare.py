"""Comparing a restored copy with the fingerprint of its source. Each difference names its place."""

from tasks.base.backup import FingerprintMode
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.fingerprint.models import Fingerprint, TableFingerprint
from tasks.postgres.fingerprint.sequences import stood_at

# The server writes the text of these definitions itself, and writes it differently from version to version.
_DEPARSED = (
    "default ", "constraint ", "index ", "view ", "materialized view ", "trigger ", "rule ", "policy ", "partition ",
    "function ", "aggregate ", "statistics ", "publication ", "collation ", "domain ", "grant on ",
    "default privileges ", "options of membership ",
)  # fmt: skip
# A sandbox has the locales of its machine; one that it lacks is said where the database is made, and is no loss.
_OF_THE_MACHINE = "locale of database "
# What a new database has by itself. Where the source dropped it no dump says so, and every restore has it.
_OF_EVERY_DATABASE = ("schema public", "extension plpgsql")
# More tables than this that are only counted are said in one sentence.
_NAMED = 20


def compare(source: Fingerprint, restored: Fingerprint, where: str = "the sandbox") -> list[CheckResult]:
    """All differences, and what could not be compared; empty when the copy is what the source held.

    `where` is the server that holds the copy, in words.
    """
    return [
        *_tables(source, restored),
        *_large_objects(source.large_objects, restored.large_objects),
        *_sequences(source, restored),
        *_objects(source, restored, where),
        *_extensions(source, restored),
        *_not_compared(source),
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


def _large_objects(source: TableFingerprint | None, restored: TableFingerprint | None) -> list[CheckResult]:
    if source is None or restored is None or source.mode is FingerprintMode.OFF:
        return []
    if source.rows != restored.rows:
        message = f"{restored.rows} came back, the source had {source.rows}"
        return [_result("large objects", Verdict.FAIL, message)]
    if source.mode is FingerprintMode.CONTENT and source.content_hash != restored.content_hash:
        return [_result("large objects", Verdict.FAIL, "their content, owners or rights are other than in the source")]
    return []


def _sequences(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    results = []
    for name, sequence in source.sequences.items():
        copy = restored.sequences.get(name)
        if copy is None:
            results.append(_result(f"sequence {name}", Verdict.FAIL, "is missing in the copy"))
        elif not stood_at(sequence, copy.before):
            stood = (
                f"at {sequence.before}"
                if sequence.before == sequence.after
                else f"between {sequence.before} and {sequence.after}"
            )
            message = f"stands at {copy.before}, the source stood {stood}"
            results.append(_result(f"sequence {name}", Verdict.FAIL, message))
    return results


def _objects(source: Fingerprint, restored: Fingerprint, where: str) -> list[CheckResult]:
    other_major = source.server_version_num // 10000 != restored.server_version_num // 10000
    results, not_comparable = [], 0
    for name in sorted(source.objects.keys() | restored.objects.keys()):
        if name in source.not_compared or source.objects.get(name) == restored.objects.get(name):
            continue
        if name not in source.objects and (whole := _of_every_database(name)) and whole not in source.objects:
            if name == whole:
                message = f"was dropped at the source, and every new database has it; run DROP {name} after a restore"
                results.append(_result(name, Verdict.INFO, message))
            continue
        if other_major and name.startswith(_DEPARSED) and name in source.objects and name in restored.objects:
            not_comparable += 1
        elif name.startswith(_OF_THE_MACHINE):
            results.append(_result(name, Verdict.SKIP, f"is another in {where}, whose machine lacks it"))
        elif name not in restored.objects:
            results.append(_result(name, Verdict.FAIL, "is missing in the copy"))
        elif name not in source.objects:
            results.append(_result(name, Verdict.FAIL, "is in the copy, but was not in the source"))
        else:
            results.append(_result(name, Verdict.FAIL, "is defined otherwise than in the source"))
    if not_comparable:
        message = f"{not_comparable} definitions are written otherwise by {where}'s version; compare them by eye"
        results.append(_result("definitions", Verdict.SKIP, message))
    return results


def _of_every_database(name: str) -> str:
    """What every new database has, given it or its owner, a right on it or its comment; else empty."""
    return next((one for one in _OF_EVERY_DATABASE if f" {one} " in f" {name} "), "")


def _extensions(source: Fingerprint, restored: Fingerprint) -> list[CheckResult]:
    """A dump does not say an extension's version; a restore installs what the server's packages hold."""
    return [
        _result(
            f"extension {name}",
            Verdict.WARN,
            f"came back in version {restored.extensions[name]}, the source has {version}; "
            f"run ALTER EXTENSION {name} UPDATE at the source, or restore where its packages are the same",
        )
        for name, version in source.extensions.items()
        if restored.extensions.get(name, version) != version
    ]


def _not_compared(source: Fingerprint) -> list[CheckResult]:
    results = [_result(name, Verdict.SKIP, reason) for name, reason in source.not_compared.items()]
    tables = [
        *source.tables,
        *([source.large_objects] if source.large_objects and source.large_objects.rows != 0 else []),
    ]
    partly = [table for table in tables if table.mode is not FingerprintMode.CONTENT]
    if len(partly) > _NAMED:
        message = f"not compared by content, as configured; the first is {partly[0].label}"
        return [*results, _result(f"{len(partly)} tables", Verdict.SKIP, message)]
    return results + [
        _result(f"table {table.label}", Verdict.SKIP, f"fingerprint mode {table.mode}, as configured")
        for table in partly
    ]
