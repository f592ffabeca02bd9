"""What a store can do, found by doing it: stores answer 200 to headers that they ignore."""

import secrets

from tasks.base.errors import CorruptError, RefusedError
from tasks.repository.store import Capabilities, Store


def probe(store: Store) -> Capabilities:
    """Write, read, overwrite and delete below `.probe/`; return what was seen. Leaves nothing behind.

    Raises RefusedError or UnreachableError when the store cannot be written, CorruptError when it reads back wrong.
    """
    key = f".probe/{secrets.token_hex(8)}"
    try:
        store.put(key, b"first")
        if store.get(key) != b"first":
            raise CorruptError(f"{store.url} read back other bytes than were written; do not use it")
        try:
            store.put(key, b"second", only_if_absent=True)
        except RefusedError:
            write_once = store.get(key) == b"first"
        else:
            write_once = False
        locked = store.is_locked(key)
    finally:
        store.delete(key)
    return Capabilities(write_once=write_once, object_lock=locked)
