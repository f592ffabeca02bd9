"""The demo's servers, each an own process with its output in a file, each ended by its own id."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tasks.base.errors import UnreachableError


def free_port(preferred: int = 0) -> int:
    """The preferred loopback port when it is free, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(found.getsockname()[1])
    raise UnreachableError("no free port on 127.0.0.1")


def program(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


@contextmanager
def serving(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A server while the block runs; it and its children are ended afterwards."""
    with log.open("ab") as output:
        process = psutil.Popen(arguments, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        family = [process, *process.children(recursive=True)]
        for one in family:
            if one.is_running():
                one.terminate()
        for one in psutil.wait_procs(family, timeout=8)[1]:
            one.kill()
