"""Verifying a stored backup without restoring it: age, size, every object's hash, table of contents."""

import re
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime, timedelta

from tasks.base.backup import BackupKind
from tasks.base.clock import utc_now
from tasks.base.errors import CorruptError, NightshiftError, UnreachableError
from tasks.base.programs import Program, writing_to
from tasks.base.secrets import resolve
from tasks.base.system import Database, System
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.backup.report import usual_bytes
from tasks.postgres.clients import find_clients
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.repository import catalog, records
from tasks.repository.manifest import Manifest, StoredFile
from tasks.repository.store import Store
from tasks.repository.streams import CHUNK_BYTES, fetching, stored_hash

_LISTING_SECONDS = 600.0
_LISTING = "archive lists"
_LINE_END = re.compile(r"[\r\n]")
_REREAD, _LISTED = "hash re-read", "decrypted and listed"


def verify_newest(system: System, database: Database, store: Store, run_id: str) -> list[CheckResult]:
    """Verify the newest backup of a database; one check per question, each naming the place that is wrong.

    Raises UnreachableError when the store does not answer, which says nothing about the backup.
    """
    backups = catalog.list_backups(store, system.name, database.name, BackupKind.LOGICAL)
    if not backups:
        return [
            _check(database.name, "present", Verdict.FAIL, f"no finished backup of '{database.name}' in {store.url}")
        ]
    try:
        manifest = catalog.load_manifest(store, backups[-1])
    except UnreachableError:
        raise
    except NightshiftError as error:
        return [_check(database.name, "manifest", Verdict.FAIL, str(error))]
    read_at = _read_lately(store, system, manifest)
    content = _content(store, system, manifest, read_at)
    # Listing has read and hashed every byte of the archive: once an evening is enough.
    hashed = ["archive"] if any(check.name == _LISTING and check.message == _LISTED for check in content) else []
    checks = [
        _recent(system, database, manifest),
        _size(system, manifest, usual_bytes(backups, manifest)),
        *(_object(store, manifest, file, read_at, hashed=file.role in hashed) for file in manifest.files),
        *content,
    ]
    records.add_verification(
        store,
        records.VerificationRecord(
            system=system.name,
            database=database.name,
            backup_id=manifest.backup_id,
            manifest_sha256=catalog.manifest_sha256(store, manifest.prefix),
            at=utc_now(),
            run_id=run_id,
            verdict=Verdict.worst([check.verdict for check in checks]),
            checks=tuple(checks),
        ),
    )
    return checks


def _check(target: str, name: str, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name=name, target=target, verdict=verdict, message=message)


def _recent(system: System, database: Database, manifest: Manifest) -> CheckResult:
    age_hours = (utc_now() - manifest.snapshot_at).total_seconds() / 3600
    future = age_hours * 3600 < -system.thresholds.clock_skew_seconds
    late = future or age_hours > database.rpo_hours
    message = f"{manifest.backup_id} is {age_hours:.1f} h old, more than the {database.rpo_hours:.1f} h allowed"
    if future:
        message = (
            f"{manifest.backup_id} is dated {-age_hours:.1f} h in the future and hides the backups of today: "
            "set the server's clock, then remove that backup"
        )
    return CheckResult(
        name="recent enough",
        target=database.name,
        verdict=Verdict.FAIL if late else Verdict.OK,
        message=message if late else manifest.backup_id,
        value=round(age_hours, 3),
        unit="hours",
        threshold=database.rpo_hours,
    )


def _size(system: System, manifest: Manifest, usual: float) -> CheckResult:
    share = system.verification.minimum_size_share
    limit = max(system.backup.size_floor_bytes, int(share * usual))
    small = manifest.stored_bytes < limit
    return CheckResult(
        name="size",
        target=manifest.database,
        verdict=Verdict.WARN if small else Verdict.OK,
        message=f"{manifest.stored_bytes} bytes are less than the {limit} expected" if small else "",
        value=float(manifest.stored_bytes),
        unit="bytes",
        threshold=float(limit),
    )


def _object(
    store: Store, manifest: Manifest, file: StoredFile, read_at: dict[str, datetime], *, hashed: bool
) -> CheckResult:
    """Size and hash as they were stored; by metadata only when the object was read whole lately and is older."""
    name = f"stored {file.role}"
    try:
        found = store.stat(file.key)
        if found.size_bytes != file.size_bytes:
            raise CorruptError(f"{file.key} has {found.size_bytes} bytes, {file.size_bytes} were stored")
        if name in read_at and found.modified_at <= read_at[name]:
            return _check(manifest.database, name, Verdict.OK, "size only; its hash was read lately")
        sha256 = file.sha256 if hashed else stored_hash(store, file.key)[0]
        if sha256 != file.sha256:
            raise CorruptError(f"{file.key} has SHA-256 {sha256}, {file.sha256} was stored")
    except UnreachableError:
        raise
    except NightshiftError as error:
        return _check(manifest.database, name, Verdict.FAIL, str(error))
    return _check(manifest.database, name, Verdict.OK, _REREAD)


def _read_lately(store: Store, system: System, manifest: Manifest) -> dict[str, datetime]:
    """When each check last read its object whole and found it good, within the days that are configured."""
    days = system.verification.reread_after_days
    read_at: dict[str, datetime] = {}
    if not days:
        return read_at
    since = utc_now() - timedelta(days=days)
    for record in records.list_verifications(store, system.name, manifest.database):
        if record.at < since:
            break
        if record.backup_id == manifest.backup_id:
            for check in record.checks:
                if check.verdict is Verdict.OK and check.message in (_REREAD, _LISTED):
                    read_at.setdefault(check.name, record.at)
    return read_at


def _content(store: Store, system: System, manifest: Manifest, read_at: dict[str, datetime]) -> list[CheckResult]:
    """Table of contents against the fingerprint, and the archive listed; SKIP where the identity is not at hand."""
    reference = system.verification.identity
    if manifest.recipients and reference is None:
        reason = "no age identity configured (verification.identity): verified by size and hash only"
        return [_check(manifest.database, "table of contents", Verdict.INFO, reason)]
    identity = resolve(reference) if manifest.recipients and reference else None
    return [
        _answer(manifest, "table of contents", lambda: _toc_complete(store, manifest, identity)),
        _check(manifest.database, _LISTING, Verdict.OK, "not again; it was listed lately")
        if _LISTING in read_at
        else _answer(manifest, _LISTING, lambda: _listed(store, system, manifest, identity)),
    ]


def _answer(manifest: Manifest, name: str, question: Callable[[], str]) -> CheckResult:
    try:
        return _check(manifest.database, name, Verdict.OK, question())
    except UnreachableError:
        raise
    except NightshiftError as error:
        return _check(manifest.database, name, Verdict.FAIL, str(error))


def _toc_complete(store: Store, manifest: Manifest, identity: str | None) -> str:
    contents = _read(store, manifest, "toc", identity)
    fingerprint = Fingerprint.model_validate_json(_read(store, manifest, "fingerprint", identity))
    # A line reads 'ID; OID OID TABLE DATA SCHEMA NAME OWNER'; line ends inside of a name are written as blanks.
    data = sorted(line.split(" TABLE DATA ", 1)[1] for line in contents.split("\n") if " TABLE DATA " in line)
    missing = [
        f"{table.schema_name}.{table.name}"
        for table in fingerprint.tables
        if not _has_prefix(data, _LINE_END.sub(" ", f"{table.schema_name} {table.name} "))
    ]
    if missing:
        raise CorruptError(f"the table of contents lacks {len(missing)} tables, first {missing[0]}")
    return f"{len(fingerprint.tables)} tables"


def _has_prefix(ordered: list[str], prefix: str) -> bool:
    place = bisect_left(ordered, prefix)
    return place < len(ordered) and ordered[place].startswith(prefix)


def _listed(store: Store, system: System, manifest: Manifest, identity: str | None) -> str:
    """Decrypt the whole archive and let pg_restore list it."""
    file = manifest.file("archive")
    clients = find_clients(manifest.client_major * 10000, system.backup.binaries)
    lister = Program(arguments=(str(clients.folder / "pg_restore"), "--list"), deadline_seconds=_LISTING_SECONDS)
    with (
        fetching(
            store,
            file.key,
            identity=identity,
            encrypted=bool(manifest.recipients),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
        ) as source,
        writing_to(lister) as sink,
    ):
        listing = True
        while chunk := source.read(CHUNK_BYTES):
            if listing:
                try:
                    sink.write(chunk)
                except BrokenPipeError:
                    listing = False
    return _LISTED


def _read(store: Store, manifest: Manifest, role: str, identity: str | None) -> str:
    file = manifest.file(role)
    with fetching(
        store,
        file.key,
        identity=identity,
        encrypted=bool(manifest.recipients),
        sha256=file.sha256,
        size_bytes=file.size_bytes,
    ) as source:
        parts = []
        while chunk := source.read(CHUNK_BYTES):
            parts.append(chunk)
    return b"".join(parts).decode()
