"""What a store can do, found by doing it: stores answer 200 to headers that they ignore."""

import secrets
from contextlib import suppress

from tasks.base.errors import CorruptError, NightshiftError, RefusedError
from tasks.repository.store import Capabilities, Store


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
