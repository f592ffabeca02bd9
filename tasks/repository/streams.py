"""Streams: zstd, then age, then SHA-256 and size of what is stored; and the same backwards."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO, Protocol, cast

import zstandard

from tasks.base.errors import CorruptError
from tasks.base.words import Frozen
from tasks.repository.age import decrypting, encrypting, recipient_of
from tasks.repository.store import ByteSink, ByteSource, Store

# Little enough to stay in a processor's own cache from one step to the next.
CHUNK_BYTES = 256 * 1024


class StreamSummary(Frozen):
    """What was stored."""

    key: str
    size_bytes: int
    sha256: str
    raw_bytes: int


class Readable(Protocol):
    """What `fetching` gives."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` decrypted, decompressed bytes; empty at the end."""


class StoredStream:
    """A write in progress; `summary` is there when the block has ended well."""

    def __init__(self, key: str, hashed: "_HashSink", compressor: Any) -> None:
        self.key, self._hashed, self._compressor = key, hashed, compressor
        self.raw_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Take all of the bytes."""
        self._compressor.write(data)
        self.raw_bytes += len(data)
        return len(data)

    @property
    def stored_bytes(self) -> int:
        """Stored so far."""
        return self._hashed.size_bytes

    @property
    def summary(self) -> StreamSummary:
        """Key, size and hash of what was stored."""
        return StreamSummary(
            key=self.key,
            size_bytes=self._hashed.size_bytes,
            sha256=self._hashed.digest.hexdigest(),
            raw_bytes=self.raw_bytes,
        )


def key_suffix(recipients: Sequence[str]) -> str:
    """How the key of a stream ends: what undoes it, from the right."""
    return ".zst.age" if recipients else ".zst"


@contextmanager
def storing(store: Store, key: str, *, level: int, threads: int, recipients: Sequence[str]) -> Iterator[StoredStream]:
    """Write raw bytes through zstd and age into the store; the object appears whole when the block ends well.

    Raises ConfigurationError for a recipient that is no age public key.
    """
    keys = [recipient_of(recipient) for recipient in recipients]
    compression = zstandard.ZstdCompressor(level=level, threads=threads, write_checksum=True)
    with store.writing(key) as sink:
        hashed = _HashSink(sink)
        with encrypting(hashed, keys) as encrypted:
            compressor: Any = compression.stream_writer(
                cast(BinaryIO, encrypted), write_size=CHUNK_BYTES, closefd=False
            )
            stream = StoredStream(key, hashed, compressor)
            yield stream
            compressor.close()


@contextmanager
def fetching(
    store: Store, key: str, *, identity: str | None, encrypted: bool, sha256: str | None, size_bytes: int | None
) -> Iterator[Readable]:
    """Read an object back through age and zstd. Nothing that was read may be used before the block has ended well.

    Raises CorruptError that names the key: cut, flipped, or not opened by this identity. Size and hash are what find
    every cut: zstd alone takes an object in clear that ends between two of its blocks.
    """
    with store.reading(key) as source:
        hashed = _HashSource(source)
        try:
            opened = decrypting(hashed, key, identity) if encrypted else nullcontext(hashed)
            with opened as compressed:
                plain = zstandard.ZstdDecompressor().stream_reader(
                    cast(BinaryIO, compressed), read_size=CHUNK_BYTES, read_across_frames=True, closefd=False
                )
                yield cast(Readable, plain)
                _drain(cast(Readable, plain))
        except zstandard.ZstdError:
            hashed.check(key, sha256, size_bytes)
            raise CorruptError(f"{key} cannot be decompressed; take another backup") from None
        except CorruptError:
            hashed.check(key, sha256, size_bytes)
            raise
        hashed.check(key, sha256, size_bytes)


@contextmanager
def reading_foreign(store: Store, key: str, *, identity: str | None, encrypted: bool) -> Iterator[Readable]:
    """Read an object that Nightshift did not write, decrypted where it must be; its size and hash are not known.

    Raises CorruptError that names the key: cut, or not opened by this identity.
    """
    with store.reading(key) as source:
        opened = decrypting(source, key, identity) if encrypted else nullcontext(source)
        with opened as plain:
            yield cast(Readable, plain)


def stored_hash(store: Store, key: str) -> tuple[str, int]:
    """SHA-256 and size of the stored bytes, read again."""
    with store.reading(key) as source:
        hashed = _HashSource(source)
        _drain(hashed)
    return hashed.digest.hexdigest(), hashed.size_bytes


class _HashSink:
    def __init__(self, sink: ByteSink) -> None:
        self._sink, self.digest, self.size_bytes = sink, hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        self.size_bytes += len(data)
        self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """Streams call it; the store decides itself when to write."""


class _HashSource:
    def __init__(self, source: ByteSource) -> None:
        self._source, self.digest, self.size_bytes = source, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        # Readers ask for as little as 8 KiB; the store is asked for no less, it buffers by itself.
        data = self._source.read(size if size > 0 else CHUNK_BYTES)
        self.digest.update(data)
        self.size_bytes += len(data)
        return data

    def close(self) -> None:
        """Who opened the source closes it."""

    def check(self, key: str, sha256: str | None, size_bytes: int | None) -> None:
        """Read what is left, then compare with the manifest."""
        _drain(self)
        if size_bytes is not None and self.size_bytes != size_bytes:
            raise CorruptError(f"{key} has {self.size_bytes} bytes, {size_bytes} were stored; take another backup")
        if sha256 is not None and self.digest.hexdigest() != sha256:
            raise CorruptError(f"{key} has another SHA-256 than was stored; take another backup")


def _drain(source: Readable) -> None:
    while source.read(CHUNK_BYTES):
        pass
