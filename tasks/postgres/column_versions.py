"""Whether client programs know what servers keep at columns since their releases of November 2026 (15.20): pg_attver.

A pg_dump that does not know it takes it along as an option that somebody set, and no server from before takes that.
"""

from tasks.base.backup import BackupPolicy
from tasks.base.errors import NightshiftError
from tasks.base.system import Database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.clients import client_version, find_clients
from tasks.postgres.connection import connect

_OPTION = b"pg_attver"


def check_clients(database: Database, policy: BackupPolicy) -> CheckResult:
    """OK, or WARN when dumps of this database restore only into servers as new as its own; SKIP with the reason."""
    verdict, message = Verdict.OK, ""
    try:
        with connect(database, application_name="nightshift:clients") as connection:
            clients = find_clients(connection.info.server_version, policy.binaries)
            kept = connection.execute(queries.load("column_versions")).fetchone() == (True,)
        # What the program cannot name it cannot leave out.
        if kept and _OPTION not in (clients.folder / "pg_dump").read_bytes():
            verdict, message = Verdict.WARN, (
                f"{client_version(clients.folder)} is older than the server and writes what that keeps at columns "
                "(pg_attver) into the dump, so it restores only into servers as new; update the client programs to the "
                "server's release, see backup.binaries, and take another backup"
            )  # fmt: skip
    except (NightshiftError, OSError) as error:
        verdict, message = Verdict.SKIP, str(error)
    return CheckResult(name="client programs", target=database.name, verdict=verdict, message=message)
