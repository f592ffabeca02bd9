"""`nightshift check`: reach everything that a system names, and say what is missing with what mends it."""

from functools import partial

from deployments import wider_checks
from deployments.answers import Answer, ask, fail, ok, result
from tasks.base.clock import iso
from tasks.base.errors import NightshiftError
from tasks.base.secrets import resolve, resolve_value
from tasks.base.system import Database, System
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.clients import find_clients
from tasks.postgres.clock_skew import judge_clock
from tasks.postgres.connection import connect
from tasks.postgres.inspect.access import Access, read_access
from tasks.postgres.inspect.programs import check_sandbox, dump_roles
from tasks.postgres.inspect.rights import missing_rights
from tasks.repository.keys import check_keys
from tasks.repository.opening import open_store
from tasks.repository.probe import probe_and_record


def check_system(system: System) -> list[CheckResult]:
    """One result per question, every problem in one pass; a red one holds the remedy."""
    results = ask(system.name, "configuration", lambda: "valid")
    results += ask(system.name, "schedules", lambda: _schedules(system))
    results += _references(system)
    for database in system.databases:
        results += _database(system, database)
    results += ask(system.repository.url, "repository", lambda: _repository(system))
    return results + _keys(system) + wider_checks.check(system)


def _schedules(system: System) -> Answer:
    # Prefect takes seconds to import, and only this question needs it.
    from deployments.flow_runner import wrong_schedules  # noqa: PLC0415

    wrong = [fail(system.name, "schedules", sentence) for sentence in wrong_schedules(system)]
    return wrong or "flows, parameters and times are valid"


def _references(system: System) -> list[CheckResult]:
    """The secrets that no other question needs."""
    named = [*system.alerting.model_dump().values()]
    named += [secret for image in system.security.images for secret in (image.username, image.password)]
    references = sorted({reference for reference in named if reference})
    missing: list[CheckResult] = []
    for reference in references:
        missing += ask(system.name, "secrets", partial(_there, reference))
    if missing or not references:
        return missing
    return [ok(system.name, "secrets", f"{', '.join(references)} can be read")]


def _there(reference: str) -> Answer:
    resolve(reference)
    return []


def _database(system: System, database: Database) -> list[CheckResult]:
    seen: list[Access] = []

    def connection() -> str:
        seen.append(read_access(database))
        tls = "with TLS" if seen[0].encrypted else "without TLS"
        return f"PostgreSQL {seen[0].server_version}, database {seen[0].database_name} as {seen[0].role}, {tls}"

    results = ask(database.name, "connection", connection)
    if not seen:
        return results
    access = seen[0]
    results += missing_rights(database.name, access, system.backup)
    results.append(judge_clock(database.name, access.clock_skew_seconds, system.thresholds.clock_skew_seconds))
    results += _programs(system, database, access)
    return results + ask(database.name, "lock", lambda: _lock(database, access))


def _programs(system: System, database: Database, access: Access) -> list[CheckResult]:
    try:
        clients = find_clients(access.server_version_num, system.backup.binaries)
    except NightshiftError as error:
        return [fail(database.name, "client programs", str(error))]
    return [
        *ask(
            database.name, "client programs", lambda: dump_roles(database, clients, access.database_name, system.backup)
        ),
        *ask(
            database.name, "sandbox", lambda: check_sandbox(database.name, clients.major, access, system.restore_test)
        ),
    ]


def _lock(database: Database, access: Access) -> Answer:
    if database.lock_dsn is None:
        advice = "this is a standby, where no other host sees the lock; set lock_dsn to the primary"
        return result(database.name, "lock", Verdict.WARN, advice) if access.standby else "on the database itself"
    with connect(database, application_name="nightshift:check", dsn=database.lock_dsn):
        return "the primary is reachable"


def _repository(system: System) -> Answer:
    seen, before = probe_and_record(open_store(system.repository), system.name)
    said = f"can be written; write-once {seen.write_once}, object lock {seen.object_lock}"
    if before is None:
        return said
    then = f"write-once {before.seen.write_once}, object lock {before.seen.object_lock} on {iso(before.at)}"
    advice = f"{said}. It was {then}: if nobody meant to change the store, look at its settings"
    return result(system.repository.url, "repository", Verdict.WARN, advice)


def _keys(system: System) -> list[CheckResult]:
    recipients = system.backup.recipients
    if not recipients:
        advice = "backups are stored in clear; make a key with age-keygen and set backup.recipients"
        return [result(system.name, "keys", Verdict.WARN, advice)]
    policies = {
        "verification.identity": system.verification.identity,
        "restore_test.identity": system.restore_test.identity,
    }
    results = []
    for place, reference in policies.items():
        results += ask(system.name, place, partial(_opens, recipients, reference))
    tested = any(schedule.flow == "restore_test" for schedule in system.schedules)
    if tested and not system.restore_test.identity:
        advice = "restore tests are scheduled, and without restore_test.identity no encrypted backup can be restored"
        results.append(fail(system.name, "restore_test.identity", advice))
    return results


def _opens(recipients: tuple[str, ...], reference: str | None) -> str:
    check_keys([resolve_value(one) for one in recipients], resolve(reference) if reference else None)
    return "opens what is encrypted" if reference else "is not set; the recipients are valid"
