"""Running the two sides of a row, and what they cost: seconds, and the peak of a process and its children in memory."""

import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from tasks.base.clock import stopwatch
from tasks.base.words import Frozen

_SAMPLE_SECONDS = 0.05
_TOUCHED_BYTES = 3 * 1024**3


class Cost(Frozen):
    """What one run cost."""

    seconds: float
    peak_mb: float
    said: str = ""


def engine(job: dict[str, Any]) -> Cost:
    """Run one job of ours in a fresh process. Raises RuntimeError when it fails."""
    _same_start()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as described:
        json.dump(job, described)
        described.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engine", described.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            with _Peak(process.pid) as peak:
                process.stdin.write("\n")
                process.stdin.flush()
                answer = process.stdout.readline()
    if process.returncode != 0 or not answer:
        raise RuntimeError(f"{job['work']} failed, exit code {process.returncode}")
    return Cost(**json.loads(answer), peak_mb=peak.mb)


def shell(script: str, cwd: Path, environment: dict[str, str]) -> Cost:
    """Run the bare tools as a person would type them. Raises CalledProcessError when one of them fails."""
    _same_start()
    elapsed = stopwatch()
    arguments = ["bash", "-o", "pipefail", "-ec", script]
    with subprocess.Popen(arguments, cwd=cwd, env=environment) as process, _Peak(process.pid) as peak:
        process.wait()
    seconds = elapsed()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, script)
    return Cost(seconds=seconds, peak_mb=peak.mb)


def _same_start() -> None:
    """Both sides begin with nothing left to be written by the run before, and with memory that is there.

    The host of a virtual machine takes freed memory back after seconds, and each page of it costs more to get again
    than to fill: whoever runs first after a pause would pay for that.
    """
    os.sync()
    size = min(_TOUCHED_BYTES, psutil.virtual_memory().available // 2)
    with mmap.mmap(-1, size) as memory:
        for position in range(0, size, mmap.PAGESIZE):
            memory[position] = 1


class _Peak:
    """The highest sum of PSS (shared pages shared out) of a process and its children while the block runs, in MB."""

    def __init__(self, pid: int) -> None:
        self.mb = 0.0
        self._process = psutil.Process(pid)
        self._done = Event()
        self._thread = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            try:
                family: Sequence[psutil.Process] = [self._process, *self._process.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            self.mb = max(self.mb, sum(_pss(one.pid) for one in family) / 1e6)


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
