"""Prefect's own program with its garbage collected beside: `python -m deployments.prefect_process server start …`.

CPython frees a forgotten cursor of SQLite under its connection's mutex. When the collector does that in the server's
event loop while the connection's thread waits for the database's write lock, whoever has that lock cannot commit,
because that too needs the loop: everything stands still until the busy timeout, which Prefect sets to 60 seconds.
In a thread of its own the collector waits alone.
"""

import gc
from itertools import count
from threading import Event, Thread

_PAUSE_SECONDS = 1.0
_ROUNDS_UNTIL_FULL = 60  # the youngest objects, where nearly all garbage is, each time; all of them once a minute


def collect_beside() -> None:
    """From now on garbage is collected by a thread of its own, for as long as the process lives."""
    gc.disable()
    Thread(target=_collect, name="garbage collector", daemon=True).start()


def _collect() -> None:
    for turn in count(1):
        Event().wait(_PAUSE_SECONDS)
        gc.collect(1 if turn % _ROUNDS_UNTIL_FULL else 2)


if __name__ == "__main__":
    collect_beside()
    from prefect.cli import app

    app()
