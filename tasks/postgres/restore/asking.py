"""The upper rungs of the ladder: structures checked by pg_amcheck, SQL assertions, the configured command."""

import os
import shutil
from collections.abc import Sequence

from tasks.base import stopping
from tasks.base.backup import RestoreTestPolicy, SqlAssertion
from tasks.base.errors import MissingError, ToolFailedError
from tasks.base.programs import Program, run
from tasks.postgres.restore.assertions import assert_sql
from tasks.postgres.restore.ladder import Ladder
from tasks.postgres.restore.sandbox import Sandbox

_QUOTED_BYTES = 4096


def command_path(policy: RestoreTestPolicy) -> str:
    """The absolute path of the configured command's program, empty when none is configured. Raises MissingError."""
    if not policy.command:
        return ""
    found = shutil.which(policy.command[0])
    if found is None:
        raise MissingError(f"restore_test.command: program '{policy.command[0]}' is not on PATH; install it")
    return found


def check_structures(ladder: Ladder, box: Sandbox, databases: Sequence[str], until: float) -> None:
    """pg_amcheck over all tables and B-trees of those databases."""
    with ladder.rung("amcheck", until) as rung:
        if not (box.binaries / "pg_amcheck").is_file():
            rung.skip(f"pg_amcheck is missing in {box.binaries}; install the full server package")
            return
        for database in databases:
            with box.connect(database) as connection:
                found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").fetchone()
            if not found:
                rung.skip("the sandbox's PostgreSQL has no extension amcheck; install its contrib package")
                return
            jobs = f"--jobs={box.policy.jobs}"
            dsn = box.server.dsn(database)
            checker = box.program("pg_amcheck", "--install-missing", "--no-password", jobs, dsn)
            # It makes an extension, which an event trigger of the copy may refuse (17 has a setting for that).
            options = f"{checker.environment['PGOPTIONS']} -c session_replication_role=replica"
            quiet = {**checker.environment, "PGOPTIONS": options}
            _run_and_quote(box, checker.model_copy(update={"environment": quiet}))


def ask(
    ladder: Ladder, box: Sandbox, database: str, assertions: Sequence[SqlAssertion], command: str, until: float
) -> None:
    """SQL assertions put to that database, then the command (an absolute path, or empty) with its own arguments."""
    if assertions:
        with ladder.rung("assertions") as rung, box.connect(database) as connection:
            # The restored database may have a limit of its own, which is for its users.
            connection.execute("SET statement_timeout = 0")
            with stopping.on_stop(connection.cancel):
                rung.findings = [assert_sql(connection, assertion) for assertion in assertions]
            rung.message = f"{len(assertions)} hold"
    if command:
        with ladder.rung("command", until):
            _run_and_quote(box, _command(box, database, command))


def _command(box: Sandbox, database: str, path: str) -> Program:
    info = box.server
    place: dict[str, str | None] = {
        "PGHOST": str(info.folder),
        "PGPORT": "5432",
        "PGUSER": info.superuser,
        "PGDATABASE": database,
    }
    # It asks questions of this copy: it needs neither what leads to other servers nor the key to the backups.
    kind, _, key = (box.policy.identity or "").partition(":")
    hidden = {name: None for name in os.environ if name.startswith("PG") or (kind, name) == ("env", key)}
    return Program(
        arguments=(path, *box.policy.command[1:]),
        environment=hidden | place,
        deadline_seconds=box.policy.command_timeout_seconds,
    )


def _run_and_quote(box: Sandbox, program: Program) -> None:
    """Run to the end; a failure quotes the last lines of the program's output as well as its errors.

    Raises ToolFailedError.
    """
    with (box.folder / "output").open("w+b") as output:
        try:
            run(program, stdout=output)
        except ToolFailedError as error:
            size_bytes = output.seek(0, os.SEEK_END)
            output.seek(max(0, size_bytes - _QUOTED_BYTES))
            lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
            if not lines:
                raise
            raise ToolFailedError(f"{error}; its last output: {' / '.join(lines[-5:])}") from None
