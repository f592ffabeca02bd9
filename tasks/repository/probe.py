"""What a store can do, found by doing it: stores answer 200 to headers that they ignore."""

import secrets
from contextlib import suppress
from datetime import datetime

from pydantic import Field, ValidationError

from tasks.base.clock import utc_now
from tasks.base.errors import CorruptError, MissingError, NightshiftError, RefusedError
from tasks.base.words import Frozen
from tasks.repository.store import Capabilities, Store


class StoreRecord(Frozen):
    """SYSTEM/store.json: what the system's store was first seen to do as it does now."""

    url: str = Field(description="Of the store; the record says nothing of another one that its objects came to")
    seen: Capabilities
    at: datetime


def probe_and_record(store: Store, system: str) -> tuple[Capabilities, StoreRecord | None]:
    """Probe, and keep what was seen; with it the record of this store that said otherwise until now, None when none.

    Written only when it says something new: under object lock each writing stays.
    """
    seen, before = probe(store), _recorded(store, system)
    if before is None or before.url != store.url or before.seen != seen:
        record = StoreRecord(url=store.url, seen=seen, at=utc_now())
        store.put(f"{system}/store.json", record.model_dump_json(indent=2).encode())
    changed = before is not None and before.url == store.url and before.seen != seen
    return seen, before if changed else None


def _recorded(store: Store, system: str) -> StoreRecord | None:
    try:
        return StoreRecord.model_validate_json(store.get(f"{system}/store.json"))
    except (MissingError, ValidationError):
        return None


def probe(store: Store) -> Capabilities:
    """Write, read, overwrite and delete below `.probe/`; return what was seen.

    Leaves nothing behind but what object lock keeps from being deleted.
    Raises RefusedError or UnreachableError when the store cannot be written, CorruptError when it reads back wrong.
    """
    key = f".probe/{secrets.token_hex(8)}"
    store.put(key, b"first", only_if_absent=True)
    try:
        if store.get(key) != b"first":
            raise CorruptError(f"{store.url} read back other bytes than were written; do not use it")
        write_once = store.writes_once(key)
    except NightshiftError:
        with suppress(NightshiftError):
            store.delete(key)
        raise
    return Capabilities(write_once=write_once, object_lock=not _deleted(store, key))


def _deleted(store: Store, key: str) -> bool:
    """False when object lock keeps it; any other refusal is raised."""
    try:
        store.delete(key)
    except RefusedError:
        if store.is_locked(key):
            return False
        raise
    return True
