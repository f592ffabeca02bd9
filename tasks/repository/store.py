"""The protocol that a local folder and S3 both speak."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from pydantic import Field

from tasks.base.words import Frozen


class StoredObject(Frozen):
    """One object as a listing shows it."""

    key: str
    size_bytes: int
    modified_at: datetime


class Capabilities(Frozen):
    """What a store was seen to do (`probe`), not what it says of itself."""

    write_once: bool = Field(description="It refuses by itself to write a key twice, also when two write at a time")
    object_lock: bool = Field(description="It locks every new object (a default retention), and refuses to delete it")


class DiskSpace(Frozen):
    """The disk behind a store."""

    free_bytes: int
    total_bytes: int

    @property
    def free_share(self) -> float:
        """From 0 to 1."""
        return self.free_bytes / max(self.total_bytes, 1)


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
    """Where bytes lie. Keys are relative, with '/' between their parts.

    Every method raises UnreachableError when the store does not answer, RefusedError when it says no, and
    ConfigurationError when what the system file says of it cannot be right. What the body of a `with` block raises
    passes through as it is.
    """

    url: str

    def writing(self, key: str) -> AbstractContextManager[ByteSink]:
        """A streaming write; the object appears whole when the block ends well, and not at all when it raises."""

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object whole. `only_if_absent` raises RefusedError when the key exists
        (atomically where the store can, else by looking first)."""

    def writes_once(self, key: str) -> bool:
        """True when the store itself refuses to overwrite this key, which exists; it is tried, and may overwrite it."""

    def get(self, key: str) -> bytes:
        """All bytes of a small object. Raises MissingError."""

    def reading(self, key: str, offset: int = 0, length: int | None = None) -> AbstractContextManager[ByteSource]:
        """A streaming read of the whole object, or of a range (empty behind the end). Raises MissingError."""

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object. Raises MissingError."""

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix whose keys sort after `after`, in key order, in pages."""

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below a prefix that ends in '/', sorted, without listing what is in them."""

    def delete(self, key: str) -> None:
        """Remove an object and all its versions; a missing one is no error. Raises RefusedError when it is locked."""

    def is_locked(self, key: str) -> bool:
        """True when object lock (retention or legal hold) forbids removing it now."""

    def abort_stale_uploads(self, prefix: str, older_than: datetime) -> Sequence[str]:
        """Remove what killed writers left below a prefix, when it is older; return the keys."""

    def disk_space(self) -> DiskSpace | None:
        """The disk behind the store; None when a store has no such limit."""
