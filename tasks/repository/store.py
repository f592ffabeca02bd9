"""The protocol that a local folder and S3 both speak, and the opening of the right one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from tasks.base.words import Frozen


class StoredObject(Frozen):
    """One object as a listing shows it."""

    key: str
    size_bytes: int
    modified_at: datetime


class Capabilities(Frozen):
    """What a store was seen to do (`probe`), not what it says of itself."""

    write_once: bool
    object_lock: bool


class ByteSink(Protocol):
    """What a streaming write is written into."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of the bytes; return how many that were."""


class ByteSource(Protocol):
    """What a streaming read is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, empty at the end."""

    def close(self) -> None:
        """Release the connection or file; reading on is not possible."""


class Store(Protocol):
    """Where bytes lie. Keys are relative, with '/' between their parts."""

    url: str

    def writing(self, key: str) -> AbstractContextManager[ByteSink]:
        """A streaming write; the object appears whole when the block ends well, and not at all when it raises."""

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object whole. `only_if_absent` raises RefusedError when the key exists
        (atomically where the store can, else by looking first)."""

    def get(self, key: str) -> bytes:
        """All bytes of a small object. Raises MissingError."""

    def reading(self, key: str, offset: int = 0, length: int | None = None) -> AbstractContextManager[ByteSource]:
        """A streaming read of the whole object or of a range. Raises MissingError."""

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object. Raises MissingError."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix, in key order, in pages."""

    def delete(self, key: str) -> None:
        """Remove an object and all its versions; a missing one is no error. Raises RefusedError when it is locked."""

    def is_locked(self, key: str) -> bool:
        """True when object lock (retention or legal hold) forbids removing it now."""

    def abort_stale_uploads(self, prefix: str, older_than: datetime) -> Sequence[str]:
        """Remove what killed writers left below a prefix, when it is older; return the keys."""

    def free_bytes(self) -> int | None:
        """Free space of the disk behind the store; None when a store has no such limit."""
