"""Statements of maintenance as psycopg.sql objects; nothing here is executed."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from tasks.base.maintenance import MaintenancePolicy
from tasks.postgres.maintain.plan import Action, Step

_BUFFERS_SINCE, _ONLY_SINCE = 160000, 180000
# A commit that wrote something reaches the disk with all that was committed before it.
FLUSH = sql.SQL("SELECT pg_logical_emit_message(true, 'nightshift', 'maintained')")


def statement(steps: Sequence[Step], policy: MaintenancePolicy, server_version_num: int) -> sql.Composed:
    """The statement that carries out steps on tables, all of one kind, or a single one on an index."""
    step, targets = steps[0], [sql.Identifier(one.schema_name, one.name) for one in steps]
    if step.action is Action.REINDEX:
        return sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(targets[0])
    if step.action is Action.DROP_LEFTOVER:
        return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(targets[0])
    only = _only(server_version_num)
    return sql.SQL("{} {}{}").format(
        sql.SQL(_verb(step, policy, server_version_num)), sql.SQL(only), sql.SQL(f", {only}").join(targets)
    )


def methods_of(steps: Sequence[Step], policy: MaintenancePolicy, server_version_num: int) -> list[str]:
    """The statement of each step, as a person would type it."""
    verbs: dict[tuple[Action, bool], str] = {}

    def method(step: Step) -> str:
        if step.action in (Action.REINDEX, Action.DROP_LEFTOVER):
            return statement([step], policy, server_version_num).as_string()
        # Thousands of tables may be listed: as text, their names quoted as in all that a person reads.
        kind = step.action, step.with_analyze
        if kind not in verbs:
            verbs[kind] = f"{_verb(step, policy, server_version_num)} {_only(server_version_num)}"
        return f"{verbs[kind]}{step.target}"

    return [method(step) for step in steps]


def _only(server_version_num: int) -> LiteralString:
    # From 18 on a table that others inherit from would take them with it, which are steps of their own.
    return "ONLY " if server_version_num >= _ONLY_SINCE else ""


def _verb(step: Step, policy: MaintenancePolicy, server_version_num: int) -> str:
    verb = "ANALYZE" if step.action is Action.ANALYZE else "VACUUM"
    return f"{verb} ({', '.join(_options(step, policy, server_version_num))})"


def _options(step: Step, policy: MaintenancePolicy, server_version_num: int) -> list[str]:
    options = ["SKIP_LOCKED"]
    if server_version_num >= _BUFFERS_SINCE:
        options.append(f"BUFFER_USAGE_LIMIT '{policy.buffer_usage_limit}'")
    if step.action is Action.ANALYZE:
        return options
    # Giving pages back to the disk takes ACCESS EXCLUSIVE, and minutes on a standby.
    options += ["TRUNCATE false", f"PARALLEL {policy.parallel_workers}"]
    if server_version_num >= _BUFFERS_SINCE:
        # Per table it would read pg_class whole, so that the cost grows with the square of the tables.
        options.append("SKIP_DATABASE_STATS")
    if step.action is Action.FREEZE:
        options.append("FREEZE")
    if step.with_analyze:
        options.append("ANALYZE")
    return options


def database_statistics(server_version_num: int) -> sql.SQL | None:
    """What SKIP_DATABASE_STATS left to be done once at the end; None where vacuum does it by itself."""
    return sql.SQL("VACUUM (ONLY_DATABASE_STATS)") if server_version_num >= _BUFFERS_SINCE else None


def settings(policy: MaintenancePolicy) -> dict[str, str]:
    """Session settings that make maintenance as gentle as the policy says.

    No table waits for the disk, or for a synchronous standby: what a crash takes of a vacuum is done again, and
    `FLUSH` at the end makes all of it durable.
    """
    return {
        "synchronous_commit": "off",
        "vacuum_cost_delay": f"{policy.vacuum_cost_delay_ms}ms",
        "vacuum_cost_limit": str(policy.vacuum_cost_limit),
    }
