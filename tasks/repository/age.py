"""age encryption of a stream: pyrage blocks, so that it works in a thread behind a pipe."""

import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pyrage

from tasks.base import pipes
from tasks.base.errors import ConfigurationError, CorruptError, StoppedError
from tasks.repository.store import ByteSink, ByteSource

_BUFFER_BYTES = 1024 * 1024


def recipient_of(text: str) -> Any:
    """The age public key. Raises ConfigurationError when it is none."""
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ConfigurationError(f"'{text}' is no age public key; it begins with age1, see age-keygen -y") from None


@contextmanager
def encrypting(sink: ByteSink, recipients: Sequence[Any]) -> Iterator[ByteSink]:
    """What is written is encrypted into `sink`; without recipients it goes there as it is."""
    if not recipients:
        yield sink
        return
    read_end, write_end = pipes.pipe()
    guarded = _Guarded(sink.write)

    def encrypt() -> None:
        with os.fdopen(read_end, "rb", buffering=_BUFFER_BYTES) as plain:
            pyrage.encrypt_io(plain, cast(Any, guarded), recipients)

    pump = _Pump(encrypt)
    pipe = os.fdopen(write_end, "wb", buffering=0)
    try:
        yield _PumpedSink(pipe, pump, guarded)
    except BaseException:
        # Nothing more goes into a write that is about to be abandoned.
        guarded.close()
        raise
    finally:
        pipe.close()
        pump.thread.join()
    if guarded.error or pump.error:
        raise cast(BaseException, guarded.error or pump.error)


@contextmanager
def decrypting(source: ByteSource, key: str, identity: str | None) -> Iterator[ByteSource]:
    """The decrypted bytes of `source`, whose key only stands in messages.

    What was read may be used once the block has ended well: only then is it known to be all. Raises CorruptError for
    a wrong identity, a flipped bit or a cut, also in place of an error that the reader of cut bytes raised.
    """
    if identity is None:
        raise ConfigurationError(f"{key} is encrypted and no age identity is configured; set it in the system file")
    try:
        secret = pyrage.x25519.Identity.from_str(_key_line(identity))
    except pyrage.IdentityError:
        raise ConfigurationError("the configured age identity is none; it begins with AGE-SECRET-KEY-1") from None
    read_end, write_end = pipes.pipe()
    guarded = _Guarded(source.read)

    def decrypt() -> None:
        with os.fdopen(write_end, "wb", buffering=0) as plain:
            pyrage.decrypt_io(cast(Any, guarded), cast(Any, _Whole(plain)), [secret])

    pump = _Pump(decrypt)
    pipe = os.fdopen(read_end, "rb", buffering=_BUFFER_BYTES)
    try:
        yield cast(ByteSource, pipe)
    except StoppedError:
        raise
    except Exception:
        # Any at all: what cut bytes make a reader raise is its own affair (zstd, pg_restore, JSON), and the cut is the
        # cause. A reader that leaves early breaks the pipe, which is no error of the stored bytes.
        pipe.close()
        pump.thread.join()
        _raise_decryption(pump, guarded, key)
        raise
    finally:
        pipe.close()
        pump.thread.join()
    _raise_decryption(pump, guarded, key)


def _raise_decryption(pump: "_Pump", guarded: "_Guarded", key: str) -> None:
    if guarded.error is not None:
        raise guarded.error
    if isinstance(pump.error, pyrage.DecryptError) and "No matching keys" in str(pump.error):
        raise CorruptError(f"the identity does not open {key}; set the identity of one of its recipients") from None
    if pump.error is not None and not isinstance(pump.error, BrokenPipeError):
        raise CorruptError(f"{key} cannot be decrypted: {pump.error}; take another backup") from None


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


class _Guarded:
    """Keeps the store's own error, which pyrage would turn into one of its own."""

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call, self._closed = call, False
        self.error: BaseException | None = None

    def close(self) -> None:
        """Refuse all further calls."""
        self._closed = True

    def read(self, size: int = -1) -> Any:
        """For pyrage as a source."""
        return self._guard(size)

    def write(self, data: bytes) -> Any:
        """For pyrage as a sink."""
        return self._guard(data)

    def flush(self) -> None:
        """pyrage calls it at the end."""

    def _guard(self, argument: Any) -> Any:
        if self._closed:
            raise BrokenPipeError
        try:
            return self._call(argument)
        except BaseException as error:
            self.error = error
            raise


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


class _PumpedSink(_Whole):
    """The pipe into a pump; when the pump has failed, its error is raised here."""

    def __init__(self, pipe: Any, pump: _Pump, guarded: _Guarded) -> None:
        super().__init__(pipe)
        self._pump, self._guarded = pump, guarded

    def write(self, data: bytes | memoryview) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            self._pump.thread.join()
            raise (self._guarded.error or self._pump.error or CorruptError("the encryption ended early")) from None


def _key_line(identity: str) -> str:
    """The key of an identity file, which age-keygen writes with comment lines."""
    lines = [line.strip() for line in identity.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if lines else ""
