"""Streams: zstd, then age, then SHA-256 and size of what is stored; and the same backwards."""

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol, cast

import pyrage
import zstandard

from tasks.base.errors import ConfigurationError, CorruptError
from tasks.base.words import Frozen
from tasks.repository.store import ByteSink, ByteSource, Store

CHUNK_BYTES = 1024 * 1024


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
    keys = [_recipient(recipient) for recipient in recipients]
    compression = zstandard.ZstdCompressor(level=level, threads=threads, write_checksum=True)
    with store.writing(key) as sink:
        hashed = _HashSink(sink)
        with _encrypting(hashed, keys) as encrypted:
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

    Raises CorruptError that names the key: cut, flipped, or not opened by this identity.
    """
    with store.reading(key) as source:
        hashed = _HashSource(source)
        try:
            with _decrypting(hashed, key, identity, encrypted) as compressed:
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


def _recipient(text: str) -> Any:
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ConfigurationError(f"'{text}' is no age public key; it begins with age1, see age-keygen -y") from None


class _Pump:
    """A thread that runs a blocking pyrage call between a pipe and a file-like object, and keeps its error."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - kept, and raised again by the thread that waits
            self.error = error


@contextmanager
def _encrypting(sink: _HashSink, recipients: list[Any]) -> Iterator[ByteSink]:
    if not recipients:
        yield sink
        return
    read_end, write_end = os.pipe()

    def encrypt() -> None:
        with os.fdopen(read_end, "rb", buffering=CHUNK_BYTES) as plain:
            pyrage.encrypt_io(plain, cast(Any, _Guarded(sink, failed)), recipients)

    failed: list[BaseException] = []
    pump = _Pump(encrypt)
    pipe = os.fdopen(write_end, "wb", buffering=0)
    try:
        yield cast(ByteSink, _Whole(pipe))
    except BrokenPipeError:
        pump.thread.join()
        raise (failed[0] if failed else pump.error or CorruptError("the encryption ended early")) from None
    finally:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        pump.thread.join()
    if failed or pump.error:
        raise failed[0] if failed else cast(BaseException, pump.error)


class _Guarded:
    """Keeps the store's own error, which pyrage would turn into one of its own."""

    def __init__(self, sink: _HashSink, failed: list[BaseException]) -> None:
        self._sink, self._failed = sink, failed

    def write(self, data: bytes) -> int:
        try:
            return self._sink.write(data)
        except BaseException as error:
            self._failed.append(error)
            raise

    def flush(self) -> None:
        """pyrage calls it at the end."""


class _Whole:
    """A raw pipe that takes all of the bytes."""

    def __init__(self, pipe: io.RawIOBase | Any) -> None:
        self._pipe = pipe

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        while view:
            view = view[self._pipe.write(view) :]
        return len(data)

    def flush(self) -> None:
        """A raw pipe holds nothing back."""


@contextmanager
def _decrypting(source: _HashSource, key: str, identity: str | None, encrypted: bool) -> Iterator[Readable]:
    if not encrypted:
        yield source
        return
    if identity is None:
        raise ConfigurationError(f"{key} is encrypted and no age identity is configured; set it in the system file")
    try:
        secret = pyrage.x25519.Identity.from_str(_key_line(identity))
    except pyrage.IdentityError:
        raise ConfigurationError("the configured age identity is none; it begins with AGE-SECRET-KEY-1") from None
    read_end, write_end = os.pipe()

    def decrypt() -> None:
        with os.fdopen(write_end, "wb", buffering=0) as plain:
            pyrage.decrypt_io(cast(Any, source), cast(Any, _Whole(plain)), [secret])

    pump = _Pump(decrypt)
    pipe = os.fdopen(read_end, "rb", buffering=CHUNK_BYTES)
    left_well = False
    try:
        yield cast(Readable, pipe)
        left_well = True
    except zstandard.ZstdError:
        pump.thread.join(timeout=1)
        _raise_decryption(pump, key)
        raise
    finally:
        pipe.close()
        pump.thread.join()
        if left_well:
            _raise_decryption(pump, key)


def _raise_decryption(pump: _Pump, key: str) -> None:
    if isinstance(pump.error, pyrage.DecryptError) and "No matching keys" in str(pump.error):
        raise CorruptError(f"the identity does not open {key}; set the identity of one of its recipients") from None
    if pump.error is not None and not isinstance(pump.error, BrokenPipeError):
        raise CorruptError(f"{key} cannot be decrypted: {pump.error}; take another backup") from None


def _key_line(identity: str) -> str:
    """The key of an identity file, which age-keygen writes with comment lines."""
    lines = [line.strip() for line in identity.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if lines else ""
