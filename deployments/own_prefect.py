"""A Prefect server of this process's own, in a temporary home, so that `nightshift run` needs none to be there."""

import logging
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from deployments.demo.servers import PREFECT_ENVIRONMENT, free_port, prefect_arguments, serving, wait_for
from tasks.base.errors import UnreachableError
from tasks.base.orphans import end_orphans
from tasks.base.processes import end_processes, identity_of, is_alive
from tasks.base.run import OWNER, SUBJECT

_PREFIX = "nightshift-run-"
_SUBJECT = "nightshift run"
# Of a database that is made already these would find out, in seconds, that there is nothing to do.
_READY_MADE = {"PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false", "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"}


@contextmanager
def own_prefect() -> Iterator[Callable[[], None]]:
    """Point this process at a server of its own while the block runs; to be entered before Prefect is imported.

    The server starts beside the block, which calls what it is given to wait until it answers: to import Prefect takes
    as long. What a killed run left is removed first. Waiting raises UnreachableError with the server's last words.
    """
    _remove_leftovers()
    owner = identity_of(os.getpid())
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{owner}-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        _set_environment(home, address)
        made = _copy_kept_database(home)
        environment = {**os.environ, **(_READY_MADE if made else {}), OWNER: owner, SUBJECT: _SUBJECT}
        log = home / "server.log"
        arguments = prefect_arguments(port, "--no-services", "--no-ui")
        with serving(arguments, environment, log, own_session=True) as process:

            def wait() -> None:
                try:
                    wait_for(f"{address}/api/health", process, log)
                except UnreachableError:
                    raise UnreachableError(f"Prefect's own server did not start: {_last_words(log)}") from None
                if not made:
                    _keep_database(home)

            try:
                yield wait
            finally:
                # That nobody takes its events any more would be said below the run's own last sentence, too.
                logging.getLogger("prefect.events.clients").setLevel(logging.CRITICAL)
                # Nobody needs what it would tidy up, and a cancelled run has seconds to end.
                end_processes([process, *process.children(recursive=True)], signal.SIGKILL)


def _set_environment(home: Path, address: str) -> None:
    """Nothing that points at another server or its database stays; how much is logged is the user's."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        if not name.startswith("PREFECT_LOGGING_"):
            del os.environ[name]
    os.environ |= {
        **PREFECT_ENVIRONMENT,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{address}/api",
        # They go to the terminal; the server is gone before anybody could read them there.
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        # What its services say when this server goes with the run would stand below the run's own last sentence.
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    }


def _kept_database() -> Path:
    """Where an empty database of this version of Prefect is kept: to make one takes as long as all else together.

    Raises RuntimeError when the user has no home.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nightshift" / f"prefect-{version('prefect')}.db"


def _copy_kept_database(home: Path) -> bool:
    with suppress(OSError, RuntimeError):
        shutil.copyfile(_kept_database(), home / "prefect.db")
        return True
    return False


def _keep_database(home: Path) -> None:
    """Keep it for the next run; one that cannot makes its own again."""
    with suppress(OSError, RuntimeError, sqlite3.Error):
        kept = _kept_database()
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = kept.with_suffix(f".{os.getpid()}")
        with closing(sqlite3.connect(home / "prefect.db")) as made, closing(sqlite3.connect(new)) as copy:
            made.backup(copy)
        new.replace(kept)


def _remove_leftovers() -> None:
    """End the servers and remove the homes of runs that were killed."""
    end_orphans(_SUBJECT)
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = home.name.removeprefix(_PREFIX).rpartition("-")[0]
        if not is_alive(owner):
            shutil.rmtree(home, ignore_errors=True)


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
