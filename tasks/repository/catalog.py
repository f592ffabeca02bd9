"""The catalog: which backups there are, found by listing keys; and the sweeping of unfinished ones."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256

from pydantic import ValidationError

from tasks.base.backup import BackupKind
from tasks.base.clock import parse_stamp
from tasks.base.errors import ConfigurationError, CorruptError, RefusedError
from tasks.repository.manifest import MANIFEST, BackupRef, Manifest
from tasks.repository.store import Store, StoredObject

_LOG = logging.getLogger("nightshift.repository")
# What a backup is restored from and compared with.
_ROLES = ("archive", "toc", "globals", "fingerprint")
_KINDS = {str(kind) for kind in BackupKind}


def list_backups(
    store: Store, system: str, database: str | None = None, kind: BackupKind | None = None
) -> list[BackupRef]:
    """All finished backups, the oldest snapshot first, by LIST requests alone."""
    found = []
    for prefix, objects in _by_prefix(store, system, database, kind).items():
        if any(item.key == f"{prefix}/{MANIFEST}" for item in objects):
            _, name, kind_name, backup_id = prefix.split("/")
            found.append(
                BackupRef(
                    system=system,
                    database=name,
                    kind=BackupKind(kind_name),
                    backup_id=backup_id,
                    stored_bytes=sum(item.size_bytes for item in objects),
                )
            )
    return sorted(found, key=lambda ref: (ref.backup_id, ref.database))


def load_manifest(store: Store, backup: BackupRef | str) -> Manifest:
    """The manifest of a backup. Raises MissingError, or CorruptError when it is not what was written.

    ConfigurationError when a newer Nightshift wrote it, which says nothing of the backup.
    """
    prefix = backup if isinstance(backup, str) else backup.prefix
    key = f"{prefix}/{MANIFEST}"
    try:
        manifest = Manifest.model_validate_json(store.get(key))
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        if place == "format_version" and isinstance(wrong["input"], int) and wrong["input"] > 1:
            raise ConfigurationError(
                f"{key} has format {wrong['input']}, which a newer Nightshift wrote; install that one to read it"
            ) from None
        raise CorruptError(f"{key} is no valid manifest (at '{place}'); take another backup") from None
    if manifest.prefix != prefix:
        raise CorruptError(f"{key} is the manifest of {manifest.prefix}; take another backup")
    lacking = [role for role in _ROLES if role not in {file.role for file in manifest.files}]
    strange = [file.key for file in manifest.files if not file.key.startswith(f"{prefix}/")]
    if lacking or strange:
        what = f"names no {lacking[0]}" if lacking else f"names {strange[0]}, which is not of this backup"
        raise CorruptError(f"{key} {what}: it was changed; take another backup")
    return manifest


def manifest_sha256(store: Store, prefix: str) -> str:
    """SHA-256 of the manifest's stored bytes, which verdicts, holds and receipts name it by."""
    return sha256(store.get(f"{prefix}/{MANIFEST}")).hexdigest()


def commit_manifest(store: Store, manifest: Manifest) -> str:
    """Write the manifest, last and once; return its SHA-256. From now on there is a backup."""
    data = manifest.model_dump_json(indent=2).encode()
    store.put(f"{manifest.prefix}/{MANIFEST}", data, only_if_absent=True)
    return sha256(data).hexdigest()


def unfinished(store: Store, system: str, database: str, older_than: datetime, own_run_id: str = "") -> list[str]:
    """Prefixes without a manifest that are this run's own, or whose newest object and stamp are older than that."""
    return [
        prefix
        for prefix, objects in _by_prefix(store, system, database).items()
        if not any(item.key == f"{prefix}/{MANIFEST}" for item in objects)
        and (
            (own_run_id and prefix.endswith(f"-{own_run_id}"))
            or (
                max(item.modified_at for item in objects) < older_than
                and parse_stamp(prefix.rsplit("/", 1)[1]) < older_than
            )
        )
    ]


def sweep(store: Store, system: str, database: str, older_than: datetime, own_run_id: str) -> list[str]:
    """Remove unfinished backups and stale uploads older than that, and those of this run's own earlier tries.

    To be called under the database's lock, before the run begins a backup. Returns what was removed.

    What the store refuses to remove (object lock, a key that may only write) is left, and stops no backup.
    """
    removed = []
    for prefix in unfinished(store, system, database, older_than, own_run_id):
        with _refusal_logged():
            for item in list(store.list(f"{prefix}/")):
                store.delete(item.key)
            removed.append(prefix)
    with _refusal_logged():
        removed += store.abort_stale_uploads(f"{system}/{database}/", older_than)
    return removed


@contextmanager
def _refusal_logged() -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        _LOG.warning("left where it is, and tried again by the next run: %s", error)


def _by_prefix(
    store: Store, system: str, database: str | None, kind: BackupKind | None = None
) -> dict[str, list[StoredObject]]:
    """Objects of backups by SYSTEM/DATABASE/KIND/ID; everything else below the system is passed over."""
    found: dict[str, list[StoredObject]] = defaultdict(list)
    for item in _listed(store, system, database, kind):
        parts = item.key.split("/")
        if len(parts) == 5 and _is_id(parts[3]):
            found["/".join(parts[:4])].append(item)
    return found


def _listed(store: Store, system: str, database: str | None, kind: BackupKind | None) -> Iterable[StoredObject]:
    """Objects of backups only: how many reports and how much history lie beside them costs nothing.

    They are listed by month. For each page of a listing some stores walk all that has its prefix (rclone serve s3 even
    hashes it), so that ten pages of one long listing cost ten times the whole.
    """
    for name in store.folders(f"{system}/") if database is None else [database]:
        kinds = [one for one in store.folders(f"{system}/{name}/") if one in _KINDS] if kind is None else [str(kind)]
        for one in kinds:
            folder = f"{system}/{name}/{one}/"
            for month in sorted({backup_id[:6] for backup_id in store.folders(folder)}):
                yield from store.list(f"{folder}{month}")


def _is_id(text: str) -> bool:
    try:
        parse_stamp(text)
    except ValueError:
        return False
    return True
