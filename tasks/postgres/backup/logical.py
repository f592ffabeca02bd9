"""A logical backup: archive, table of contents, globals and fingerprint of one snapshot, then the manifest."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from hashlib import sha256
from importlib.metadata import version

from tasks.base.backup import BackupKind, BackupPolicy
from tasks.base.clock import stamp, stopwatch, utc_now
from tasks.base.errors import ToolFailedError
from tasks.base.orphans import end_orphans
from tasks.base.run import run_context
from tasks.base.secrets import resolve_value
from tasks.base.system import Database
from tasks.postgres.backup import archive
from tasks.postgres.backup.instructions import INSTRUCTIONS, restore_by_hand
from tasks.postgres.clients import Clients, client_version, find_clients
from tasks.postgres.connection import client_programs, conninfo_for_programs
from tasks.postgres.fingerprint.collect import collect, finish
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.fingerprint.snapshot import Snapshot, exported_snapshot
from tasks.postgres.lock import DatabaseLock, database_lock
from tasks.repository import catalog
from tasks.repository.manifest import Manifest, StoredFile
from tasks.repository.store import Store
from tasks.repository.streams import StreamSummary, key_suffix

Progress = Callable[[int, int], None]
# A TRUNCATE that comes between the snapshot and the dump's own locks lets no one in behind it: it goes first.
_SNAPSHOTS = 5


@contextmanager
def _timed(durations: dict[str, float], step: str) -> Iterator[None]:
    elapsed = stopwatch()
    yield
    durations[step] = round(elapsed(), 3)


def back_up(
    system: str, database: Database, policy: BackupPolicy, store: Store, run_id: str, on_progress: Progress
) -> Manifest:
    """Back up one database; return the manifest, which is committed when this returns.

    `on_progress(raw_bytes, database_bytes)` is called while the dump runs. Begins by ending processes and removing
    objects that killed runs left. Raises RefusedError (lock held, rights), UnreachableError, ToolFailedError.
    """
    subject = f"{system}/{database.name}"
    with (
        run_context(run_id, subject),
        database_lock(database, "backup", run_id, policy.on_lock, policy.lock_wait_seconds) as lock,
    ):
        end_orphans(subject)
        oldest = utc_now() - timedelta(hours=policy.unfinished_after_hours)
        catalog.sweep(store, system, database.name, oldest, run_id)
        for _ in range(_SNAPSHOTS):
            with exported_snapshot(database, f"nightshift:backup:{run_id}", policy.fingerprint.connections) as snapshot:
                clients = find_clients(snapshot.facts.server_version_num, policy.binaries)
                try:
                    with client_programs(database, clients.folder):
                        return _back_up_snapshot(
                            system, database, policy, store, run_id, lock, snapshot, clients, on_progress
                        )
                except ToolFailedError as error:
                    if not archive.overtaken(error):
                        raise
    raise ToolFailedError(
        f"'{database.name}' was not backed up: each of {_SNAPSHOTS} snapshots was overtaken by a session that waits to "
        "change a table (TRUNCATE, ALTER, DROP); look for it in pg_stat_activity, where wait_event_type = 'Lock', and "
        "start the run again",
        retryable=True,
    )


@contextmanager
def _ending(prints: Future[Fingerprint], snapshot: Snapshot) -> Iterator[None]:
    """A dump that failed needs no fingerprint: cancel its readers, again until they have ended."""
    try:
        yield
    except BaseException:
        while not prints.done():
            snapshot.cancel()
            wait([prints], timeout=0.2)
        raise


def _back_up_snapshot(
    system: str,
    database: Database,
    policy: BackupPolicy,
    store: Store,
    run_id: str,
    lock: DatabaseLock,
    snapshot: Snapshot,
    clients: Clients,
    on_progress: Progress,
) -> Manifest:
    backup_id = f"{stamp(snapshot.taken_at)}-{run_id}"
    prefix = f"{system}/{database.name}/{BackupKind.LOGICAL}/{backup_id}"
    recipients = tuple(resolve_value(recipient) for recipient in policy.recipients)
    suffix = key_suffix(recipients)
    dsn, environment = conninfo_for_programs(database)
    environment = {**environment, "PGAPPNAME": f"nightshift:backup:{run_id}"}
    durations: dict[str, float] = {}
    dump = archive.dump_program(clients, dsn, environment, snapshot.id, snapshot.facts.encoding, policy)
    roles = archive.globals_program(clients, dsn, environment, snapshot.facts.database_name, policy)

    def show(raw_bytes: int) -> None:
        on_progress(raw_bytes, snapshot.facts.database_bytes)
        for one in (globals_stored, prints):
            if one.done():
                one.result()  # a refusal there ends the dump at once

    with ThreadPoolExecutor(max_workers=2) as beside, _timed(durations, "total"):
        globals_stored = beside.submit(
            copy_context().run, archive.store_output, roles, store, f"{prefix}/globals.sql{suffix}", policy, recipients
        )
        prints = beside.submit(
            copy_context().run,
            partial(
                collect,
                database,
                snapshot,
                policy.fingerprint,
                f"nightshift:fingerprint:{run_id}",
                role_passwords=policy.role_passwords,
            ),
        )
        with _timed(durations, "dump"), _ending(prints, snapshot):
            stored, contents = archive.store_archive(
                dump, clients, store, f"{prefix}/archive.dump{suffix}", policy, recipients, show
            )
        with _timed(durations, "fingerprint after dump"):
            fingerprint = finish(prints.result(), database, f"nightshift:fingerprint:{run_id}")
        files = {
            "archive": stored,
            "globals": globals_stored.result(),
            "toc": archive.store_text(contents, store, f"{prefix}/toc.txt{suffix}", policy, recipients),
            "fingerprint": archive.store_text(
                fingerprint.model_dump_json(), store, f"{prefix}/fingerprint.json{suffix}", policy, recipients
            ),
        }
    manifest = Manifest(
        backup_id=backup_id,
        system=system,
        database=database.name,
        kind=BackupKind.LOGICAL,
        run_id=run_id,
        snapshot_at=snapshot.taken_at,
        snapshot_lsn=snapshot.lsn,
        finished_at=utc_now(),
        nightshift_version=version("nightshift"),
        client_version=client_version(clients.folder),
        client_major=clients.major,
        **snapshot.facts.model_dump(),
        **_fingerprint_facts(fingerprint, policy),
        files=tuple(_file(role, summary) for role, summary in files.items()),
        recipients=recipients,
        compression=f"zstd-{policy.compression_level}",
        durations_seconds=durations,
        notes=() if policy.role_passwords else ("role passwords are not in the backup",),
    )
    manifest = _with_instructions(store, manifest)
    lock.check()
    catalog.commit_manifest(store, manifest)
    return manifest


def _with_instructions(store: Store, manifest: Manifest) -> Manifest:
    """Store RESTORE.txt, in clear for whoever has nothing but the repository, and list it like the other files."""
    text, key = restore_by_hand(manifest).encode(), f"{manifest.prefix}/{INSTRUCTIONS}"
    store.put(key, text)
    digest = sha256(text).hexdigest()
    stored = StoredFile(role="instructions", key=key, size_bytes=len(text), sha256=digest, raw_bytes=len(text))
    return manifest.model_copy(update={"files": (*manifest.files, stored)})


def _fingerprint_facts(fingerprint: Fingerprint, policy: BackupPolicy) -> dict[str, object]:
    counted = [table.rows for table in fingerprint.tables if table.rows is not None]
    return {
        "fingerprint_mode": policy.fingerprint.mode,
        "tables": len(fingerprint.tables),
        "rows": sum(counted) if counted or not fingerprint.tables else None,
    }


def _file(role: str, summary: StreamSummary) -> StoredFile:
    return StoredFile.model_validate({"role": role, **summary.model_dump()})
