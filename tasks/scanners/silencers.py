"""Comments in scanned files that Trivy obeys: what they silence stands in no report, so each is a finding itself."""

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tasks.base.findings import Finding, Severity, identity_of

# Trivy reads both spellings. What follows names the rule, '*' all of them.
_COMMENT = re.compile(rb"\b(?:trivy|tfsec):ignore:[^\s,;\"'<>]{1,200}", re.IGNORECASE)


def silenced_places(folder: Path, scope: str) -> list[Finding]:
    """A finding for each comment 'trivy:ignore:RULE' below a folder; two of one rule in one file are one."""
    return [
        Finding(
            identity=identity_of(scope, "silencer", name, comment),
            scope=scope,
            kind="silencer",
            severity=Severity.LOW,
            rule="silenced-inline",
            title=f"'{comment}' keeps Trivy from reporting here; take it out, and write an exception instead",
            location=f"{name}:{line}",
        )
        for path in _files(folder)
        for name in (str(path.relative_to(folder)),)
        for line, comment in _comments(path)
    ]


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        for path in (Path(place, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                yield path


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        line, counted = 1, 0
        for found in _COMMENT.finditer(text):
            line += text[counted : found.start()].count(b"\n")
            counted = found.start()
            yield line, found[0].decode("utf-8", "replace")
