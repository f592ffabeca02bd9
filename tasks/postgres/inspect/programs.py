"""Whether the programs of this host can dump a database and restore what they dumped."""

import shutil
import tempfile
from pathlib import Path

from tasks.base.backup import BackupPolicy, RestoreTestPolicy
from tasks.base.programs import Program, output_of, run
from tasks.base.system import Database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.backup.archive import globals_program
from tasks.postgres.clients import Clients
from tasks.postgres.connection import client_programs, conninfo_for_programs
from tasks.postgres.inspect.access import Access
from tasks.postgres.restore.sandbox import sandbox_binaries
from tasks.postgres.server import server_folder

_QUICK_SECONDS = 120.0


def dump_roles(database: Database, clients: Clients, dbname: str, policy: BackupPolicy) -> str:
    """Let pg_dumpall read the roles and throw them away: that proves its TLS, its password and its rights.

    Raises RefusedError that says what the program lacks, UnreachableError, ToolFailedError.
    """
    dsn, environment = conninfo_for_programs(database)
    # Whether the role may read their passwords is asked of the server, which names the right.
    program = globals_program(clients, dsn, environment, dbname, policy.model_copy(update={"role_passwords": False}))
    with client_programs(database, clients.folder):
        run(program.model_copy(update={"deadline_seconds": _QUICK_SECONDS}))
    return f"version {clients.major} in {clients.folder} reach the server"


def check_sandbox(target: str, major: int, access: Access, policy: RestoreTestPolicy) -> list[CheckResult]:
    """Programs, extensions, folder and disk of the sandbox that a restore test of this database needs.

    Raises MissingError (programs), ConfigurationError (folder).
    """
    binaries = sandbox_binaries(major, policy.binaries)
    found = [_result(target, Verdict.OK, f"server programs in {binaries}"), _disk(target, access, policy)]
    available = _extensions(binaries)
    if not (binaries / "pg_amcheck").is_file() or (available and "amcheck" not in available):
        reason = f"{binaries} has no amcheck, so restore tests stay 'partially proven'; install postgresql-{major}"
        found.append(_result(target, Verdict.INFO, reason))
    lacking = sorted(set(access.extensions) - available) if available else []
    if lacking:
        reason = f"extensions {', '.join(lacking)} are not installed for {binaries}, so its restore will fail there"
        found.append(_result(target, Verdict.FAIL, f"{reason}; install them, or set restore_test.binaries"))
    return found


def _disk(target: str, access: Access, policy: RestoreTestPolicy) -> CheckResult:
    """The spool is at most as large as the database, and so is its copy."""
    folder = server_folder(policy.folder)
    try:
        free = shutil.disk_usage(folder).free
    finally:
        shutil.rmtree(folder)
    budget, needed = min(free, policy.disk_budget_bytes or free), 2 * access.database_bytes
    place = policy.folder or tempfile.gettempdir()
    if needed <= budget:
        return _result(target, Verdict.OK, f"{free} bytes are free in {place}, at most {needed} are needed")
    return _result(
        target,
        Verdict.WARN,
        f"a restore may need {needed} bytes in {place}, {free} are free and the budget is {budget}; "
        "free some, or set restore_test.folder or restore_test.disk_budget_bytes",
    )


def _extensions(binaries: Path) -> set[str]:
    """Names of the extensions that a server of this folder can create; empty when it does not say where they are."""
    config = binaries / "pg_config"
    if not config.is_file():
        return set()
    program = Program(arguments=(str(config), "--sharedir"), deadline_seconds=_QUICK_SECONDS)
    folder = Path(output_of(program).strip()) / "extension"
    return {path.stem for path in folder.glob("*.control")}


def _result(target: str, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="sandbox", target=target, verdict=verdict, message=message)
