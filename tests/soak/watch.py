"""Looks at a folder from outside, counts what appears and vanishes in it, and kills a process at one of these."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import psutil

from tests.soak.proxy import When, never

_POLL_SECONDS = 0.0005


class KillingWatch:
    """The same as KillingProxy for a local repository: a file that appears is a PUT, one that vanishes a DELETE.

    A file system cannot be stopped half-way, so every strike comes right after the change, as soon as it is seen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._when = folder, never
        self._seen: set[str] = set()
        self._thread: threading.Thread | None = None
        self._number = 0

    def arm(self, when: When, _place: str) -> None:
        """Count from now on. The process is named by `aim`, as soon as it runs."""
        if self._thread:
            self._thread.join()
        self._seen, self._number, self._when = self._files(), 0, when

    def aim(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        pass

    def _watch(self, pid: int) -> None:
        while psutil.pid_exists(pid):
            if any(self._strikes(change) for change in self._changes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(_POLL_SECONDS)

    def _strikes(self, change: str) -> bool:
        self._number += 1
        return bool(self._when(self._number, change))

    def _changes(self) -> list[str]:
        before, self._seen = self._seen, self._files()
        appeared = [f"PUT {name}" for name in sorted(self._seen - before)]
        return appeared + [f"DELETE {name}" for name in sorted(before - self._seen)]

    def _files(self) -> set[str]:
        return {os.path.join(folder, name) for folder, _, names in os.walk(self._folder) for name in names}
