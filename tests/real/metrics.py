"""A real Prometheus with history that a test made, which scrapes nothing, and a real Alertmanager; on loopback."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deployments.demo.servers import free_port

# Where `make` unpacks Debian's packages when they are not installed.
UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "prometheus"
# Nobody is told; a host that is down explains what is slow on it.
ROUTES = """
route: {receiver: nobody}
receivers: [{name: nobody}]
inhibit_rules:
  - {source_matchers: [alertname=HostDown], target_matchers: [alertname=Slow], equal: [instance]}
"""


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED / "usr" / "bin"))
    assert found, f"{name} is missing: install its Debian package, or run 'apt-get update' as root and make again"
    return found


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
    settings = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={data}")
    with _running("prometheus", folder, *settings, "--storage.tsdb.retention.time=10y") as url:
        yield url


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """An Alertmanager that knows of no alert yet and of no other one; its URL."""
    (folder / "alertmanager.yml").write_text(ROUTES)
    settings = (f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data")
    with _running("prometheus-alertmanager", folder, *settings, "--cluster.listen-address=") as url:
        yield url


@contextmanager
def _running(name: str, folder: Path, *settings: str) -> Iterator[str]:
    """The server on a free port, once it is ready."""
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program(name), f"--web.listen-address={url.removeprefix('http://')}", *settings],
            stdout=log, stderr=log, cwd=UNPACKED if UNPACKED.is_dir() else folder,
        )  # fmt: skip
    try:
        for _ in range(300):
            try:
                if httpx.get(f"{url}/-/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)
