"""`nightshift check`: reach everything that a system names, and say what is missing with what mends it."""

from collections.abc import Callable

from tasks.base.errors import NightshiftError
from tasks.base.secrets import resolve, resolve_value
from tasks.base.system import Database, System
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.clients import find_clients
from tasks.postgres.fingerprint.snapshot import exported_snapshot
from tasks.postgres.restore.sandbox import sandbox_binaries
from tasks.repository.opening import open_store
from tasks.repository.probe import probe


def check_system(system: System) -> list[CheckResult]:
    """One result per question; a red one holds the remedy."""
    results = [_ask(system.name, "configuration", lambda: "valid")]
    results += [_ask(database.name, "database", _database(system, database)) for database in system.databases]
    results.append(_ask(system.repository.url, "repository", _repository(system)))
    results.append(_ask(system.name, "secrets", _secrets(system)))
    return results


def _database(system: System, database: Database) -> Callable[[], str]:
    def question() -> str:
        # A snapshot with all tables locked needs every right that a backup needs.
        with exported_snapshot(database, "nightshift:check") as snapshot:
            clients = find_clients(snapshot.facts.server_version_num, system.backup.binaries)
        sandbox_binaries(clients.major, system.restore_test.binaries)
        return f"PostgreSQL {snapshot.facts.server_version}, client programs {clients.major}"

    return question


def _repository(system: System) -> Callable[[], str]:
    def question() -> str:
        seen = probe(open_store(system.repository))
        return f"can be written; write-once {seen.write_once}, object lock {seen.object_lock}"

    return question


def _secrets(system: System) -> Callable[[], str]:
    def question() -> str:
        identities = {system.verification.identity, system.restore_test.identity} - {None}
        for reference in identities:
            resolve(str(reference))
        for recipient in system.backup.recipients:
            resolve_value(recipient)
        return f"{len(identities)} identities and {len(system.backup.recipients)} recipients are there"

    return question


def _ask(target: str, name: str, question: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(name=name, target=target, verdict=Verdict.OK, message=question())
    except NightshiftError as error:
        return CheckResult(name=name, target=target, verdict=Verdict.FAIL, message=str(error))
