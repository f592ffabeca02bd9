"""A vulnerability database of two entries, for demo and tests: no scan with it says anything about a real system.

The layout is Trivy's own (schema 2). boltdb leaves the checksum of both meta pages empty: it is put there (FNV-1a 64).
"""

import json
import struct
from datetime import datetime, timedelta
from pathlib import Path

from boltdb import BoltDB

from tasks.base.clock import utc_now

_SOURCE = "GitHub Security Advisory pip"
_PAGE, _META_AT, _META_BYTES = 4096, 16, 56
Entry = tuple[str, str, str, str, str]
# Package, vulnerability, severity, first version without it, title.
ENTRIES: tuple[Entry, ...] = (
    ("django", "CVE-2019-19844", "CRITICAL", "1.11.27", "Account takeover through the password reset form"),
    ("jinja2", "CVE-2024-22195", "MEDIUM", "3.1.3", "HTML attribute injection through the xmlattr filter"),
)
_VENDOR_SEVERITY = {"LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}


def write_database(folder: Path, entries: tuple[Entry, ...] = ENTRIES, made_at: datetime | None = None) -> None:
    """Write db/trivy.db and db/metadata.json below a folder, in place of what is there."""
    place = folder / "db"
    place.mkdir(parents=True, exist_ok=True)
    path = place / "trivy.db"
    path.unlink(missing_ok=True)
    database = BoltDB(str(path))
    with database.update() as transaction:
        _fill(transaction, entries)
    del database  # its end closes the file
    _write_checksums(path)
    now = made_at or utc_now()
    times = {"NextUpdate": now + timedelta(days=1), "UpdatedAt": now, "DownloadedAt": now}
    written = {name: f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in times.items()}
    (place / "metadata.json").write_text(json.dumps({"Version": 2, **written}))


def _fill(transaction: BoltDB, entries: tuple[Entry, ...]) -> None:
    details = transaction.create_bucket(b"vulnerability")
    for _, name, severity, _, title in entries:
        facts = {"Title": title, "Severity": severity, "VendorSeverity": {"ghsa": _VENDOR_SEVERITY[severity]}}
        details.put(name.encode(), json.dumps(facts).encode())
    source = f"pip::{_SOURCE}".encode()
    facts = {"ID": "ghsa", "Name": _SOURCE, "URL": "https://github.com/advisories"}
    transaction.create_bucket(b"data-source").put(source, json.dumps(facts).encode())
    packages = transaction.create_bucket(source)
    for package in sorted({entry[0] for entry in entries}):
        found = packages.create_bucket(package.encode())
        for _, name, _, fixed, _ in (entry for entry in entries if entry[0] == package):
            versions = {"PatchedVersions": [fixed], "VulnerableVersions": [f"<{fixed}"]}
            found.put(name.encode(), json.dumps(versions).encode())


def _write_checksums(path: Path) -> None:
    with path.open("r+b") as file:
        for page in (0, 1):
            file.seek(page * _PAGE + _META_AT)
            meta = file.read(_META_BYTES)
            file.seek(page * _PAGE + _META_AT + _META_BYTES)
            file.write(struct.pack("<Q", _fnv1a_64(meta)))


def _fnv1a_64(data: bytes) -> int:
    """The hash of Fowler, Noll and Vo (1a) over 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value
