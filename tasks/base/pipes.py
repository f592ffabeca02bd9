"""The parent's ends of a child's pipes: output and input that can be given up, and a bounded tail of stderr."""

import contextlib
import fcntl
import io
import os
import select
import threading
from collections.abc import Callable
from typing import Any

from tasks.base import stopping

PIPE_BYTES = 1024 * 1024
_TAIL_BYTES = 64 * 1024
_POLL_MILLISECONDS = 250


def pipe() -> tuple[int, int]:
    """A pipe's read and write end, as large as an ordinary user may make it."""
    read_end, write_end = os.pipe()
    # An unprivileged user may be over its share of pipe pages; the default size works too, only slower.
    with contextlib.suppress(OSError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return read_end, write_end


class ProgramPipe(io.RawIOBase):
    """One end of a child's pipe. While it waits it calls `check`, whose error ends the wait: deadline or stop.

    So nobody waits for ever for a silent child, nor for a descendant that keeps the other end open.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.check: Callable[[], None] = stopping.raise_if_stopped
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """The descriptor, for select."""
        return self._descriptor

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes as soon as there are any; empty at the end."""
        while True:
            self.check()
            with contextlib.suppress(BlockingIOError):
                return os.read(self._descriptor, size if size > 0 else PIPE_BYTES)
            self._wait(select.POLLIN)

    def write(self, data: Any) -> int:
        """Write all of the bytes. Raises BrokenPipeError when the child has closed its input."""
        view = memoryview(data).cast("B")
        while view:
            self.check()
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)
        return len(data)

    def close(self) -> None:
        """Release the descriptor; safe to call again."""
        if not self.closed:
            super().close()
            os.close(self._descriptor)

    def _wait(self, event: int) -> None:
        poller = select.poll()
        poller.register(self._descriptor, event)
        poller.poll(_POLL_MILLISECONDS)


class Tail:
    """The last 64 KiB of a stderr, drained by an own thread so that a flood blocks nobody."""

    def __init__(self) -> None:
        read_end, self.write_end = os.pipe()
        self._data = bytearray()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._drain, args=(read_end,), daemon=True)
        self._thread.start()

    def _drain(self, read_end: int) -> None:
        # The thread owns the descriptor: closed by another it could become somebody else's file under a read.
        with os.fdopen(read_end, "rb", buffering=0) as source:
            poller = select.poll()
            poller.register(source, select.POLLIN)
            while True:
                if not poller.poll(_POLL_MILLISECONDS):
                    if self._given_up.is_set():
                        return
                    continue
                chunk = source.read(_TAIL_BYTES)
                if not chunk:
                    return
                self._data = (self._data + chunk)[-_TAIL_BYTES:]

    def close_write_end(self) -> None:
        """The parent's copy must go, or the end of the stream is never seen."""
        os.close(self.write_end)

    def text(self) -> str:
        """What was kept, once the writer is gone; a descendant that still holds it is not waited for."""
        self._given_up.set()
        self._thread.join(timeout=2)
        return bytes(self._data).decode(errors="replace")
