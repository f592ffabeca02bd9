"""A PostgreSQL of its own that writes csvlog and jsonlog, for tests that read what it logged."""

from contextlib import contextmanager

from tests.real.ending import wait_until
from tests.real.servers import own_server

_OPTIONS = {
    "logging_collector": "on",
    "log_destination": "csvlog,jsonlog",
    "log_directory": "log",
    "log_timezone": "UTC",
}


@contextmanager
def logging_server(**options):
    """The server, started with these settings too; it is gone behind the block."""
    with own_server(_OPTIONS | options) as server:
        yield server


def pattern_of(server, ending):
    """The files of its log, csv or json."""
    return f"{server.data}/log/*.{ending}"


def until_logged(found):
    """Wait until `found` is true: the collector writes a moment after the session has ended."""
    wait_until(found)
