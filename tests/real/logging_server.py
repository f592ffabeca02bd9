"""A PostgreSQL of its own that writes csvlog and jsonlog, for tests that read what it logged."""

import shutil
import time
from contextlib import contextmanager

from deployments.demo.servers import free_port
from tasks.base import stopping
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder

_OPTIONS = {
    "fsync": "off",
    "logging_collector": "on",
    "log_destination": "csvlog,jsonlog",
    "log_directory": "log",
    "log_timezone": "UTC",
}


@contextmanager
def logging_server(**options):
    """The server, started with these settings too; it is gone behind the block."""
    binaries, folder = embedded_binaries(), server_folder(None)
    assert binaries is not None
    stopping.reset()
    server = LocalServer(binaries, folder, free_port(), "postgres")
    try:
        server.create("UTF8", "C.UTF-8", _OPTIONS | options)
        server.start()
        yield server
    finally:
        stopping.reset()
        server.stop()
        shutil.rmtree(folder)


def pattern_of(server, ending):
    """The files of its log, csv or json."""
    return f"{server.data}/log/*.{ending}"


def until_logged(found):
    """Wait until `found` is true: the collector writes a moment after the session has ended."""
    for _ in range(50):
        if found():
            return
        time.sleep(0.1)
