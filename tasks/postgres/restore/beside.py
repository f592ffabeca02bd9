"""Restoring a backup beside what is there: what is asked for, which backup and server that means, and the run."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from psycopg.conninfo import make_conninfo
from pydantic import ValidationError

from tasks.base import stopping
from tasks.base.backup import BackupKind
from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, MissingError
from tasks.base.orphans import end_orphans
from tasks.base.scratch import scratch_folder
from tasks.base.secrets import mask
from tasks.base.system import Database, System
from tasks.base.systems import find_database
from tasks.base.words import CheckResult, Frozen
from tasks.postgres.names import quoted
from tasks.postgres.restore.copy import Copy
from tasks.postgres.restore.ladder import Broken, Ladder, Progress
from tasks.postgres.restore.readiness import look, opened
from tasks.postgres.restore.target import PREFIX, TargetServer, entered
from tasks.repository.catalog import list_backups, load_manifest
from tasks.repository.manifest import Manifest
from tasks.repository.store import Store

_NAME_BYTES = 63
_REMEDIES = (
    (r"role \".*\" does not exist", "the backup names a role that is not here: add --create-roles (create_roles=true)"),
    (r"No space left on device|could not extend file|could not write", "free disk at the server, and start again"),
    (r"extension .* is not available|could not open extension control file", "install that extension's package there"),
    (r"permission denied|must be (superuser|owner|member)", "restore as a role that may, see docs/database_restore.md"),
    (r"possibly corrupt archive|unexpected end of file", "it was cut or damaged, take another backup"),
)


class Request(Frozen):
    """What a person asks for."""

    database: str
    into: str
    backup: str = ""
    server: str = ""
    create_roles: bool = False
    dry_run: bool = True


@dataclass(frozen=True)
class Restored:
    """What became of it: every check and step, and how to go on."""

    backup_id: str
    steps: tuple[CheckResult, ...]
    rto_seconds: float | None
    next_command: str


def check_request(request: Request, system: System) -> Database:
    """The database whose backup is meant, at the server that is meant. Raises ConfigurationError."""
    if not request.into:
        raise ConfigurationError("name the new database that the backup is restored into; add into=NAME")
    if len(request.into.encode()) > _NAME_BYTES or "\0" in request.into or request.into.startswith(PREFIX):
        raise ConfigurationError(
            f"'{request.into}' cannot be the name of a new database: {_NAME_BYTES} bytes at most, and not beginning "
            f"with {PREFIX}; write another into=NAME"
        )
    name = request.database
    if not name and len(system.databases) > 1:
        known = ", ".join(one.name for one in system.databases)
        raise ConfigurationError(f"system '{system.name}' has several databases; add database= one of: {known}")
    if not request.server:
        found = find_database(system, name) if name else system.databases[0]
        # A backup may be taken from a standby; a database is made at its primary.
        return found.model_copy(update={"dsn": found.lock_dsn or found.dsn, "lock_dsn": None})
    try:
        return Database(name=name or system.databases[0].name, dsn=request.server)
    except ValidationError as error:
        raise ConfigurationError(mask(f"server: {error.errors()[0]['msg'].removeprefix('Value error, ')}")) from None


def find_backup(store: Store, system: str, database: str, backup_id: str) -> Manifest:
    """The manifest of the backup of that id, or of the newest. Raises MissingError that names what there is."""
    backups = list_backups(store, system, database, BackupKind.LOGICAL)
    if not backups:
        raise MissingError(
            f"database '{database}' has no backup in {store.url}; see 'nightshift backups {system}' for what there is"
        )
    chosen = [one for one in backups if one.backup_id == (backup_id or backups[-1].backup_id)]
    if not chosen:
        raise MissingError(
            f"'{database}' has no backup '{backup_id}', the newest is {backups[-1].backup_id}; "
            f"see 'nightshift backups {system}'"
        )
    return load_manifest(store, chosen[0])


def restore_beside(
    store: Store, system: System, request: Request, run_id: str, started_at: datetime, on_progress: Progress
) -> Restored:
    """Look whether it can be done, and unless only that is asked for, do it.

    What is wrong with the backup or the copy is a step that failed. Raises ConfigurationError and MissingError for what
    was asked, RefusedError and UnreachableError for a server or store that cannot be entered, StoppedError.
    """
    database = check_request(request, system)
    manifest = find_backup(store, system.name, database.name, request.backup)
    policy = system.restore_test
    ladder = Ladder(request.into, on_progress, policy.deadline_seconds, "restore", _REMEDIES)
    next_command, rto = "", None
    # A stop waits until this block is left: what was begun at the server is taken back in it.
    with (
        suppress(Broken),
        stopping.on_stop(lambda: None),
        entered(database, run_id, read_only=request.dry_run) as server,
    ):
        known = opened(store, manifest, policy)
        for check in look(known, server, system, request.into, create_roles=request.create_roles, plan=request.dry_run):
            ladder.note(check)
        if request.dry_run:
            next_command = "" if ladder.verdict.is_red else _apply(system.name, request, manifest)
        elif not ladder.verdict.is_red:
            end_orphans(f"{system.name}/{database.name}/restore")
            with scratch_folder(policy.folder) as folder:
                copy = Copy(server, known, system, folder, ladder, run_id)
                copy.make(request.into, create_roles=request.create_roles)
            rto = ladder.hold_rto(policy.rto_seconds, (utc_now() - started_at).total_seconds())
            next_command = switch_over(server, manifest.database_name, request.into)
    return Restored(manifest.backup_id, tuple(ladder.rungs), rto, next_command)


def _apply(system: str, request: Request, manifest: Manifest) -> str:
    """The command that does what was planned, with the backup that was looked at."""
    words = ["nightshift", "restore", system, manifest.database, "--into", request.into]
    words += ["--backup", manifest.backup_id]
    words += ["--server", request.server] if request.server else []
    words += ["--create-roles"] if request.create_roles else []
    return shlex.join([*words, "--apply"])


def switch_over(server: TargetServer, name: str, into: str) -> str:
    """What puts the copy into the place of the database, once nobody is connected to either."""
    renames: Sequence[str] = [f"ALTER DATABASE {quoted(into)} RENAME TO {quoted(name)}"]
    if server.has(name):
        renames = [f"ALTER DATABASE {quoted(name)} RENAME TO {quoted(_before(name, server.run_id))}", *renames]
    dsn = make_conninfo(server.database.dsn, dbname="postgres")
    return shlex.join(["psql", dsn, *(word for one in renames for word in ("-c", one))])


def _before(name: str, run_id: str) -> str:
    """A name for what is put aside."""
    end = f"_before_{run_id}"
    return name.encode()[: _NAME_BYTES - len(end)].decode(errors="ignore") + end
