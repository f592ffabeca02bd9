"""The demo's servers, each an own process with its output in a file, each ended by its own id."""

import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tasks.base.errors import UnreachableError

_START_SECONDS = 240  # the first start compiles what it imports and lays out its database, on whatever machine
_STOP_SECONDS = 8
# Analytics would send the demo's doings elsewhere; a backup's log lines belong in the run's log.
PREFECT_ENVIRONMENT = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_EXTRA_LOGGERS": "nightshift"}


def free_port(preferred: int = 0) -> int:
    """The preferred loopback port when it is free, else any free one.

    Until this process ends, nobody else is given it by chance: a server has to make its folder before it listens.
    """
    for wanted in (preferred, 0):
        with socket.socket() as found:
            # A listener is still refused; what a server that has just ended left in TIME_WAIT is not.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            port = int(found.getsockname()[1])
            found.detach()  # held, not listened at: who asks for this very port, as all our servers do, gets it
            return port
    raise UnreachableError("no free port on 127.0.0.1")


def program(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


@contextmanager
def serving(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, own_session: bool = False
) -> Iterator[psutil.Popen]:
    """A server while the block runs; it and its children are ended afterwards.

    In its own session a Ctrl-C at the terminal does not reach it.
    """
    with log.open("ab") as output:
        process = psutil.Popen(
            list(arguments), env=dict(environment), stdout=output, stderr=output, start_new_session=own_session
        )
    try:
        yield process
    finally:
        _end(process)


def prefect_arguments(port: int, *options: str) -> list[str]:
    """The program that serves Prefect's API on that loopback port."""
    serve = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "deployments.prefect_process", *serve, *options]


@contextmanager
def prefect_server(environment: Mapping[str, str], log: Path, preferred_port: int = 0) -> Iterator[str]:
    """Prefect's own server on SQLite in PREFECT_HOME of the environment; its URL."""
    port = free_port(preferred_port)
    url = f"http://127.0.0.1:{port}"
    settings = {**environment, **PREFECT_ENVIRONMENT, "PREFECT_API_URL": f"{url}/api"}
    with serving(prefect_arguments(port), settings, log) as process:
        wait_for(f"{url}/api/health", process, log)
        yield url


@contextmanager
def s3_server(folder: Path, key_id: str, secret: str, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """A real S3 server (rclone) whose buckets are the folders below `folder`; its endpoint."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    arguments = [program("rclone"), "serve", "s3", str(folder), "--addr", endpoint.removeprefix("http://")]
    # The pair is read as CSV, so it needs the quotes.
    with serving(arguments, {**environment, "RCLONE_AUTH_KEY": f'"{key_id},{secret}"'}, log) as process:
        wait_for(endpoint, process, log)
        yield endpoint


def wait_for(url: str, process: psutil.Popen, log: Path) -> None:
    """Wait until something answers there. Raises UnreachableError that names the log, at once when the process died."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url, timeout=2)
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    died = process.poll() is not None
    raise UnreachableError(f"{'the server died' if died else 'nothing answers'} at {url}; read {log}")


def _end(process: psutil.Popen) -> None:
    family: list[psutil.Process] = [process]
    try:
        family += process.children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for one in family:
        if one.is_running():
            one.terminate()
    for one in psutil.wait_procs(family, timeout=_STOP_SECONDS)[1]:
        one.kill()
