"""One restore test from the choice of what is tested to its receipt."""

import logging
import random
from collections.abc import Sequence
from typing import Literal, TypeVar

from tasks.base.backup import BackupKind
from tasks.base.clock import utc_now
from tasks.base.errors import MissingError
from tasks.base.system import System
from tasks.postgres.restore.dumps import Place, find_dumps
from tasks.postgres.restore.existing import DumpProof, try_dump
from tasks.postgres.restore.ladder import Progress
from tasks.postgres.restore.logical import prove
from tasks.repository.catalog import list_backups, load_manifest, manifest_sha256
from tasks.repository.opening import open_store
from tasks.repository.records import Receipt, add_receipt
from tasks.repository.store import Store

Pick = Literal["newest", "random-older"]
Item = TypeVar("Item")
_LOG = logging.getLogger("nightshift.restore")


def choose(candidates: Sequence[Item], pick: Pick) -> Item:
    """The newest of candidates in the order of their age, the oldest first, or an older one by chance."""
    older = candidates[:-1] or candidates
    return candidates[-1] if pick == "newest" else random.choice(older)  # noqa: S311 - a sample, not a secret


def prove_picked(
    store: Store, system: System, database: str, pick: Pick, run_id: str, on_progress: Progress
) -> Receipt:
    """Prove one backup of a database and keep the receipt. Raises MissingError when there is none, and see `prove`."""
    started = utc_now()
    backups = list_backups(store, system.name, database, BackupKind.LOGICAL)
    if not backups:
        raise MissingError(
            f"database '{database}' has no backup in {store.url}; "
            f"start 'nightshift run database_backup system={system.name}'"
        )
    manifest = load_manifest(store, choose(backups, pick))
    proof = prove(store, manifest, system.restore_test, on_progress)
    receipt = Receipt(
        backup_id=manifest.backup_id,
        manifest_sha256=manifest_sha256(store, manifest.prefix),
        system=system.name,
        database=database,
        run_id=run_id,
        started_at=started,
        finished_at=utc_now(),
        verdict=proof.verdict,
        proven=proof.proven,
        rungs=proof.rungs,
        rto_seconds=proof.rto_seconds,
        rpo_seconds=(started - manifest.snapshot_at).total_seconds(),
    )
    add_receipt(store, receipt)
    return receipt


def try_picked(system: System, place: Place, databases: Sequence[str], pick: Pick, on_progress: Progress) -> DumpProof:
    """Try one dump of a place, with the assertions of the system and of these databases of it. See `try_dump`."""
    policy = system.restore_test
    asked = [one for database in databases for one in policy.database_assertions.get(database, ())]
    store = open_store(system.repository.model_copy(update={"url": place.url}))
    dump = choose(find_dumps(store, place.pattern), pick)
    _LOG.info("trying %s in %s, %d bytes", dump.shown, store.url, dump.size_bytes)
    return try_dump(store, dump, policy, [*policy.assertions, *asked], on_progress)
