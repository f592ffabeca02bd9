"""Programs of tests: scripts that are run, and small ones first on PATH that say what a real one was seen to say."""

import os
import sys
import textwrap
from pathlib import Path

from tasks.base.programs import Program, writing_to


def shell(script: str, **more) -> Program:
    """The script as a program of sh."""
    return Program(arguments=("/bin/sh", "-c", script), **{"deadline_seconds": 30} | more)


def python(script: str, **more) -> Program:
    """The script as a program of this Python."""
    return Program(arguments=(sys.executable, "-c", textwrap.dedent(script)), **{"deadline_seconds": 60} | more)


def flood(program: Program) -> None:
    """Write to its input until it takes no more; a hundred megabytes at most."""
    with writing_to(program) as entry:
        for _ in range(100):
            entry.write(bytes(2**20))


class Programs:
    """A folder of such programs; with `alone` nothing else is on PATH."""

    def __init__(self, folder: Path, monkeypatch, *, alone: bool = False) -> None:
        self._folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder) if alone else f"{folder}:{os.environ['PATH']}")

    def say(self, name: str, stdout: str, *, stderr: str = "", code: int = 0) -> None:
        """The program NAME prints that, and ends with that code."""
        (self._folder / f"{name}.out").write_text(stdout)
        (self._folder / f"{name}.err").write_text(stderr)
        script = f"#!/bin/sh\n/bin/cat {self._folder}/{name}.out; /bin/cat {self._folder}/{name}.err >&2; exit {code}\n"
        (self._folder / name).write_text(script)
        (self._folder / name).chmod(0o755)
