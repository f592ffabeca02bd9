"""What can be known before a backup is restored beside what is there: a check each, and nothing is changed."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tasks.base.backup import RestoreTestPolicy
from tasks.base.errors import ConfigurationError, CorruptError, NightshiftError, RefusedError, UnreachableError
from tasks.base.system import System
from tasks.base.units import human
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.clients import find_clients
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.restore.globals import Globals, needed, owners, read_globals
from tasks.postgres.restore.spool import check_disk
from tasks.postgres.restore.stored import StoredBackup, entries, identity_for
from tasks.postgres.restore.target import ServerFacts, TargetServer
from tasks.repository.manifest import Manifest
from tasks.repository.store import Store

# pg_restore of this version and newer sets transaction_timeout, which servers before it refuse.
_TRANSACTION_TIMEOUT_SINCE = 17
_NAMED = 10
Found = tuple[Verdict, str]


@dataclass(frozen=True)
class Known:
    """A backup with its small objects read; `trouble` is why they could not be."""

    backup: StoredBackup
    trouble: str = ""
    contents: tuple[str, ...] = ()
    globals: Globals = field(default_factory=lambda: Globals(()))
    fingerprint: Fingerprint | None = None

    @property
    def missing_names(self) -> list[str]:
        """Of the fingerprint, the names of what it holds."""
        return list(self.fingerprint.objects) if self.fingerprint else []


def opened(store: Store, manifest: Manifest, policy: RestoreTestPolicy) -> Known:
    """Read what is small of a backup, and with it find out whether the identity opens it.

    Raises UnreachableError when the store does not answer.
    """
    backup = StoredBackup(store, manifest, None)
    try:
        backup = StoredBackup(store, manifest, identity_for(manifest, policy))
        return Known(
            backup,
            contents=tuple(entries(backup.read("toc").decode())),
            globals=read_globals(backup.read("globals").decode(errors="replace")),
            fingerprint=backup.fingerprint(),
        )
    except UnreachableError:
        raise
    except (NightshiftError, ValueError) as error:
        return Known(backup, trouble=" ".join(str(error).split()))


def look(
    known: Known, server: TargetServer, system: System, into: str, *, create_roles: bool, plan: bool
) -> Iterator[CheckResult]:
    """Every check. Raises UnreachableError when the store or the server does not answer."""
    manifest, policy = known.backup.manifest, system.restore_test

    def check(name: str, question: Callable[[], Found]) -> CheckResult:
        try:
            verdict, message = question()
        except UnreachableError:
            raise
        except NightshiftError as error:
            verdict, message = Verdict.FAIL, str(error)
        return CheckResult(name=name, target=into, verdict=verdict, message=message)

    yield check("backup", lambda: _stored(known.backup))
    yield check("identity", lambda: _opens(known))
    yield check("client programs", lambda: programs_fit(manifest, system.backup.binaries, server.facts))
    yield check("server", lambda: server_fits(manifest, server.facts))
    yield check("name", lambda: _name(server, into))
    yield check("locale", lambda: _locale(manifest, server))
    if not known.trouble:
        yield check("rights", lambda: _rights(known, server, create_roles=create_roles))
        yield check("roles", lambda: _roles(known, server, create_roles=create_roles))
        yield check("extensions", lambda: _extensions(known, server))
    yield check("spool", lambda: _spool(manifest, policy))
    yield check("space at the server", lambda: _space(manifest, plan=plan))
    left = server.leftovers()
    if left:
        told = f"killed runs left {', '.join(left)}; " + ("the real run drops it" if plan else "it is dropped now")
        yield CheckResult(name="leftovers", target=into, verdict=Verdict.INFO, message=told)


def _stored(backup: StoredBackup) -> Found:
    manifest = backup.manifest
    for file in manifest.files:
        found = backup.store.stat(file.key)
        if found.size_bytes != file.size_bytes:
            raise CorruptError(
                f"{file.key} has {found.size_bytes} bytes, {file.size_bytes} were stored; take another backup, see "
                f"'nightshift backups {manifest.system}'"
            )
    return Verdict.OK, (
        f"{manifest.backup_id} of '{manifest.database}', {len(manifest.files)} objects with the sizes that were "
        f"stored, {human(manifest.stored_bytes, 'bytes')}; their hashes are read by the restore"
    )


def _opens(known: Known) -> Found:
    if known.trouble:
        return Verdict.FAIL, known.trouble
    return Verdict.OK, "" if known.backup.manifest.recipients else "the backup is stored in clear"


def programs_fit(manifest: Manifest, binaries: Path | None, facts: ServerFacts) -> Found:
    """Whether there is a pg_restore that reads the archive and is understood by the server. Raises NightshiftError."""
    clients = find_clients(manifest.client_major * 10000, binaries)
    if clients.major >= _TRANSACTION_TIMEOUT_SINCE > facts.major:
        raise RefusedError(
            f"pg_dump {manifest.client_major} wrote the archive, and pg_restore {clients.major} cannot restore into a "
            f"server {facts.major}; take a server of {_TRANSACTION_TIMEOUT_SINCE} or newer, or restore by hand "
            "as the backup's RESTORE.txt says"
        )
    return Verdict.OK, f"pg_restore {clients.major} in {clients.folder}"


def server_fits(manifest: Manifest, facts: ServerFacts) -> Found:
    """Whether the server is one on which the database can be made. Raises RefusedError."""
    source_major = manifest.server_version_num // 10000
    if facts.is_standby:
        raise RefusedError("the server is a standby, on which no database can be made; name its primary in server=")
    if facts.major < source_major:
        raise RefusedError(
            f"the server is PostgreSQL {facts.version}, older than the {source_major} that the backup is from; "
            f"name a server of {source_major} or newer in server="
        )
    return Verdict.OK, f"PostgreSQL {facts.version}, as role {facts.role}"


def _name(server: TargetServer, into: str) -> Found:
    if server.has(into):
        raise RefusedError(
            f"a database '{into}' exists there, and nothing is ever overwritten; choose another name: --into NAME"
        )
    return Verdict.OK, "is free"


def _locale(manifest: Manifest, server: TargetServer) -> Found:
    said = " ".join(dict.fromkeys([manifest.encoding, manifest.collate, manifest.ctype, manifest.locale])).strip()
    values = {
        "encoding": manifest.encoding,
        "provider": manifest.locale_provider,
        "collate": manifest.collate,
        "ctype": manifest.ctype,
        "locale": manifest.locale,
    }
    if server.rows(queries.load("restore/same_locale"), values)[0][0]:
        return Verdict.OK, f"{said}, as another database there has it"
    return Verdict.SKIP, f"no database there has {said}: whether the server can make one shows when it is made"


def _rights(known: Known, server: TargetServer, *, create_roles: bool) -> Found:
    facts = server.facts
    if facts.is_superuser:
        return Verdict.OK, f"{facts.role} is a superuser"
    if not facts.may_create_databases:
        raise RefusedError(f"role {facts.role} may not create databases; ALTER ROLE {facts.role} CREATEDB")
    if create_roles and not facts.may_create_roles:
        raise RefusedError(f"role {facts.role} may not create roles; ALTER ROLE {facts.role} CREATEROLE")
    all_owners = owners(known.globals.roles, known.contents)
    there = sorted(set(all_owners) - set(server.missing(all_owners)))
    strangers = server.may_not_become(there)
    if strangers:
        raise RefusedError(
            f"role {facts.role} may not make {_list(strangers)} the owner of what they own; "
            f"GRANT {strangers[0]} TO {facts.role}, or connect as a superuser"
        )
    if not server.may_read_all():
        raise RefusedError(
            f"role {facts.role} may not read all of the copy to compare it; GRANT pg_read_all_data TO {facts.role}"
        )
    return Verdict.OK, f"{facts.role} may create databases, read all, and become every owner that is there"


def _roles(known: Known, server: TargetServer, *, create_roles: bool) -> Found:
    missing = server.missing(sorted(known.globals.roles))
    if not missing:
        return Verdict.OK, "all that the backup names are there"
    if create_roles:
        return Verdict.INFO, f"{_list(missing)} will be made as the backup's globals say{_powers(known, missing)}"
    wanted = needed(missing, known.contents, known.missing_names)
    if wanted:
        raise RefusedError(
            f"the backup needs roles that are not there: {_list(wanted)}; add --create-roles (create_roles=true) to "
            "make them as its globals say, or make them yourself"
        )
    return Verdict.INFO, (
        f"{_list(missing)} of the backup's server are not there; nothing of this database is seen to need them"
    )


def _powers(known: Known, missing: list[str]) -> str:
    supers, mute = known.globals.superusers(missing), known.globals.without_password(missing)
    return (f"; superusers: {_list(supers)}" if supers else "") + (f"; without password: {_list(mute)}" if mute else "")


def _extensions(known: Known, server: TargetServer) -> Found:
    wanted = known.fingerprint.extensions if known.fingerprint else {}
    offered = {str(name): str(version) for name, version in server.rows(queries.load("restore/extensions"))}
    missing = sorted(wanted.keys() - offered.keys())
    if missing:
        raise RefusedError(
            f"the server does not offer {_list(missing)}; install the packages of these extensions there"
        )
    other = [
        f"{name} {version} (there {offered[name]})" for name, version in wanted.items() if offered[name] != version
    ]
    if other:
        return Verdict.WARN, f"the server offers other versions: {_list(other)}; look whether the application minds"
    return Verdict.OK, _list(sorted(wanted)) or "none"


def _spool(manifest: Manifest, policy: RestoreTestPolicy) -> Found:
    folder = policy.folder or Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder; make it, or correct restore_test.folder")
    size_bytes = manifest.file("archive").raw_bytes
    check_disk(folder, policy, size_bytes, "the restore")
    return Verdict.OK, f"{human(size_bytes, 'bytes')} for the decrypted archive in {folder}"


def _space(manifest: Manifest, *, plan: bool) -> Found:
    told = f"the copy needs about {human(manifest.database_bytes, 'bytes')} there, as the source had, and WAL besides"
    if plan:
        return Verdict.SKIP, f"{told}; how much is free cannot be seen from here: look at the server (df -h)"
    return Verdict.INFO, told


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
