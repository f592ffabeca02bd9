"""Whether partitions would help a very large table, with the evidence; printed and never done here.

They do where rows come in the order of time and leave by it: a partition is dropped in a moment, where a DELETE writes
every row and leaves air. PostgreSQL's documentation, "Table Partitioning", has what they cost.
"""

import re
from collections.abc import Sequence

from psycopg import Connection
from pydantic import Field

from tasks.base.performance import Part, PerformancePolicy
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.names import label, quoted
from tasks.postgres.review.ranking import Statements

# Rows lie in the order of a column from this correlation on; a table is appended to when so few rows are changed.
_IN_ORDER, _CHANGED_SHARE = 0.9, 0.2


class TimeColumn(Frozen):
    """A column of a date or moment, as the statistics have it; None where they may not be seen, or there are none."""

    name: str
    correlation: float | None
    first_day: str | None
    last_day: str | None


class HugeTable(Frozen):
    """A table so large that vacuum, restore and deletes of it take long; counts are since the counters were reset."""

    schema_name: str
    name: str
    size_bytes: int
    rows: int
    inserted: int
    updated: int
    deleted: int
    times: tuple[TimeColumn, ...]
    unique: tuple[str, ...] = Field(description="Its unique constraints, which would have to contain the column")
    referenced: int = Field(description="Foreign keys of other tables that name it")

    @property
    def label(self) -> str:
        """SCHEMA.NAME, quoted where SQL needs it."""
        return label(self.schema_name, self.name)


def read(session: Connection[tuple[object, ...]], policy: PerformancePolicy) -> tuple[HugeTable, ...]:
    """The tables of the session's database that are larger than `partition_bytes`."""
    rows = session.execute(queries.load("review/partition_candidates"), {"bytes": policy.partition_bytes}).fetchall()
    return tuple(HugeTable.model_validate(dict(zip(HugeTable.model_fields, row, strict=True))) for row in rows)


def part(database: str, tables: Sequence[HugeTable], statements: Statements | None) -> Part:
    """One check for each table: advised with the evidence, not advised and why, or what would settle it."""
    return Part(checks=tuple(_judged(database, table, statements) for table in tables))


def _judged(database: str, table: HugeTable, statements: Statements | None) -> CheckResult:
    about = f"{table.size_bytes} bytes and about {table.rows} rows"
    verdict, command = Verdict.INFO, ""
    ordered = max(table.times, key=lambda one: abs(one.correlation or 0), default=None)
    if ordered is None:
        said = f"{about}; partitions by time are not advised: it has no column of a date or moment"
    elif all(one.correlation is None for one in table.times):
        verdict, command = (
            Verdict.SKIP,
            f"ANALYZE {table.label} -- or GRANT pg_read_all_data to this review's role",
        )
        said = f"{about}; whether its rows come in the order of time is not known without statistics"
    elif abs(ordered.correlation or 0) < _IN_ORDER or table.updated > _CHANGED_SHARE * max(1, table.rows):
        said = (
            f"{about}; partitions by time are not advised: {_flow(table)}, and the order of its rows follows "
            f"{ordered.name} with a correlation of {ordered.correlation:.2f}"
        )
    else:
        command = (
            f"CREATE TABLE {_of(table, ordered)} (LIKE {table.label} INCLUDING DEFAULTS) "
            f"PARTITION BY RANGE ({quoted(ordered.name)})"
        )
        said = (
            f"{about}; partitions by {ordered.name} would let old rows go by DROP TABLE: its rows lie in that order "
            f"(correlation {ordered.correlation:.2f}), from {ordered.first_day} to {ordered.last_day}; {_flow(table)}; "
            f"{_deletes(table, ordered, statements)}; {_costs(table, ordered)}"
        )
    return CheckResult(
        name="partition advice", target=f"{database} {table.label}", verdict=verdict, message=said, next_command=command
    )


def _flow(table: HugeTable) -> str:
    moved = f"{table.inserted} rows came, {table.updated} were changed and {table.deleted} deleted"
    return f"{moved} since the counters' reset"


def _deletes(table: HugeTable, column: TimeColumn, statements: Statements | None) -> str:
    """What pg_stat_statements shows of deletes by that column."""
    if statements is None:
        return "whether they are deleted by time is not known without pg_stat_statements"
    name, by = re.escape(table.name), re.escape(column.name)
    pattern = re.compile(
        rf'\bDELETE\s+FROM\s+(?:ONLY\s+)?(?:"?\w+"?\.)?"?{name}"?\b.*\bWHERE\b.*"?\b{by}\b"?\s*(?:<|BETWEEN\b)',
        re.I | re.S,
    )
    found = [
        counts
        for key, counts in statements.period.counts.items()
        if key in statements.now.labels and pattern.search(statements.now.labels[key][1])
    ]
    if not found:
        return "no statement of the period deletes them by it"
    calls, rows = (sum(one[what] for one in found) for what in ("calls", "rows"))
    return f"{calls:.0f} calls of DELETE … WHERE {column.name} < … removed {rows:.0f} rows in the period"


def _costs(table: HugeTable, column: TimeColumn) -> str:
    lacking = [one for one in table.unique if not re.search(rf"\b{re.escape(column.name)}\b", one)]
    said = [f"{one} would have to contain {column.name}" for one in lacking]
    said += [f"{table.referenced} foreign keys name it"] if table.referenced else []
    return f"what it costs: {', '.join(said) or 'its rows have to be moved once'}"


def _of(table: HugeTable, column: TimeColumn) -> str:
    return label(table.schema_name, f"{table.name}_by_{column.name}")
