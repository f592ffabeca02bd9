"""What pg_stat_statements counted so far, as a snapshot; or the reason why it cannot be known."""

from datetime import datetime
from typing import cast

import psycopg
from psycopg import Connection, sql

from tasks.base.statements import without_literals
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.review.deltas import SINCE
from tasks.postgres.review.snapshots import PRIMARY, Snapshot

Session = Connection[tuple[object, ...]]
COLUMNS = (
    SINCE, "calls", "time_ms", "rows", "blocks_hit", "blocks_read", "blocks_dirtied", "blocks_written",
    "temp_blocks_read", "temp_blocks_written", "io_ms",
)  # fmt: skip
# From this version on the view says what it threw out; every server from 15 on brings a newer one.
_OLDEST_EXTENSION = (1, 9)


def take(session: Session, database: str, run_id: str) -> Snapshot | CheckResult:
    """The statements of the session's database with their counters, texts without literals; a SKIP when not known."""
    row = session.execute(queries.load("review/extension")).fetchone()
    version, schema, may_read, role = cast(tuple[str | None, str | None, bool, str], row)
    if version is None or schema is None:
        return _unknown(
            database,
            "the extension pg_stat_statements is not installed; add it to shared_preload_libraries, restart the server",
            "CREATE EXTENSION pg_stat_statements",
        )
    if tuple(map(int, version.split("."))) < _OLDEST_EXTENSION:
        reason = f"the extension pg_stat_statements is of version {version}, which does not tell what it threw out"
        return _unknown(database, reason, "ALTER EXTENSION pg_stat_statements UPDATE")
    if not may_read:
        return _unknown(database, f"{role} sees no statements of others", f"GRANT pg_read_all_stats TO {role}")
    try:
        with session.transaction():
            info = session.execute(_in_schema("review/statements_info", schema)).fetchone()
            rows = session.execute(_in_schema("review/statements", schema)).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return _unknown(
            database,
            "the server did not load pg_stat_statements; add it to shared_preload_libraries and restart the server",
            "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'",
        )
    evictions, reset_at, epoch, taken_at = cast(tuple[int, datetime | None, str | None, datetime], info)
    return Snapshot(
        database=database,
        node=PRIMARY,
        run_id=run_id,
        taken_at=taken_at,
        reset_at=reset_at,
        epoch=epoch or "",
        evictions=evictions,
        gauges={"server_version_num": float(session.info.server_version)},
        columns=COLUMNS,
        entries={str(key): cast(tuple[float | None, ...], tuple(counters)) for key, _, _, *counters in rows},
        labels={str(key): (str(role), without_literals(str(text))) for key, text, role, *_ in rows},
    )


def _in_schema(name: str, schema: str) -> sql.Composed:
    """The statement with the extension's schema in it: the search path of these sessions is empty."""
    return sql.SQL(queries.load(name).decode()).format(schema=sql.Identifier(schema))


def _unknown(database: str, reason: str, command: str) -> CheckResult:
    return CheckResult(
        name="slow queries", target=database, verdict=Verdict.SKIP, message=f"not known: {reason}", next_command=command
    )
