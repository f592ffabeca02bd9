"""A real Prometheus for tests, on loopback, with history that a test made; it scrapes nothing."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deployments.demo.servers import free_port

# Where `make` unpacks Debian's package when it is not installed.
UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "prometheus" / "usr" / "bin"


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    assert found, f"{name} is missing: install Debian's package 'prometheus', or run 'apt-get update' and make again"
    return found


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def prometheus(folder: Path, openmetrics: str) -> Iterator[str]:
    """A server with that text, in OpenMetrics with times, as its history; its URL."""
    (folder / "history.txt").write_text(openmetrics)
    (folder / "prometheus.yml").write_text("")
    data = folder / "data"
    made = subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "history.txt", data],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={data}",
             f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=10y"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while not _ready(port):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
