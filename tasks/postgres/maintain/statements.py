"""Statements of maintenance as psycopg.sql objects; nothing here is executed."""

from collections.abc import Sequence

from psycopg import sql

from tasks.base.maintenance import MaintenancePolicy
from tasks.postgres.inspect.relations import qualified
from tasks.postgres.maintain.plan import Action, Step

_BUFFERS_SINCE, _ONLY_SINCE = 160000, 180000


def statement(steps: Sequence[Step], policy: MaintenancePolicy, server_version_num: int) -> sql.Composed:
    """The statement that carries out steps on tables, all of one kind, or a single one on an index."""
    step, targets = steps[0], [qualified(one.schema_name, one.name) for one in steps]
    if step.action is Action.REINDEX:
        return sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(targets[0])
    if step.action is Action.DROP_LEFTOVER:
        return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(targets[0])
    options = _options(step, policy, server_version_num)
    verb = "ANALYZE" if step.action is Action.ANALYZE else "VACUUM"
    # From 18 on a table that others inherit from would take them with it, which are steps of their own.
    only = sql.SQL("ONLY " if server_version_num >= _ONLY_SINCE else "")
    return sql.SQL("{} ({}) {}").format(
        sql.SQL(verb),
        sql.SQL(", ").join(map(sql.SQL, options)),
        sql.SQL(", ").join(only + target for target in targets),
    )


def methods_of(steps: Sequence[Step], policy: MaintenancePolicy, server_version_num: int) -> list[str]:
    """The statement of each step, as a person would type it."""
    return [statement([step], policy, server_version_num).as_string() for step in steps]


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
    """Session settings that make maintenance as gentle as the policy says."""
    return {
        "vacuum_cost_delay": f"{policy.vacuum_cost_delay_ms}ms",
        "vacuum_cost_limit": str(policy.vacuum_cost_limit),
    }
