"""What tests of ended runs share: something to end, and the look at what is left of it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from tasks.base.run import SUBJECT

END_SECONDS = 10


@contextmanager
def nightshift(log: Path, temporary: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`nightshift ARGUMENTS` at work, as a person types it, with no Prefect server; killed when the block is left."""
    temporary.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    command = [sys.executable, "-m", "deployments.cli", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**environment, "TMPDIR": str(temporary)})
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def dump_held(dsn: str) -> Iterator[None]:
    """While the block runs, dumps of the database hang at their large objects, as those of a busy server do."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE pg_catalog.pg_largeobject IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def own_processes(sandboxes: Path | None = None) -> list[str]:
    """The names of all living programs that runs of this test's system started.

    A sandbox's programs do not get the environment by which the others are known, only their folder tells whose
    they are.
    """
    found = []
    for process in psutil.process_iter(["name", "cmdline", "environ", "status"]):
        environment, command = process.info["environ"] or {}, " ".join(process.info["cmdline"] or [])
        ours = environment.get("NIGHTSHIFT_SYSTEMS") == os.environ["NIGHTSHIFT_SYSTEMS"] and SUBJECT in environment
        in_sandbox = sandboxes is not None and str(sandboxes) in command
        if (ours or in_sandbox) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.info["name"])
    return found


def own_sessions(dsn: str) -> list[str]:
    """The sessions of runs at the source, nightshift:KIND:…"""
    with psycopg.connect(dsn) as connection:
        names = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'nightshift:%'"
        return [name for (name,) in connection.execute(names)]


def wait_until(condition, seconds: float = 240):
    """What `condition` returned, as soon as it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.2)
    return found
