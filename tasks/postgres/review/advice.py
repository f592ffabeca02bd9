"""Indexes that statements of the period ask for, with the evidence; printed and never built here."""

import re
from collections.abc import Iterator, Sequence

from psycopg import Connection
from pydantic import Field

from tasks.base.performance import Part, PerformancePolicy
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.names import label, quoted
from tasks.postgres.review.ranking import Counts, Statements, mean_ms

Session = Connection[tuple[object, ...]]
# A statement that touches this share of a table's pages in each call reads it whole (or might as well).
_WHOLE = 0.5
# What stands for a literal: $1 of pg_stat_statements, ? of the normaliser.
_VALUE = r"(?:\$\d+|\?|ANY\s*\(\s*\$\d+)"
_NAME = r"(?:(?:\"[^\"]+\"|\w+)\.)?(\"[^\"]+\"|\w+)"
_TABLES = re.compile(rf"\b(?:FROM|JOIN|UPDATE)\s+(?:ONLY\s+)?{_NAME}", re.IGNORECASE)
_EQUAL = re.compile(rf"{_NAME}\s*(?:=\s*{_VALUE}|IN\s*\(\s*{_VALUE})", re.IGNORECASE)
_RANGE = re.compile(rf"{_NAME}\s*(?:[<>]=?\s*{_VALUE}|BETWEEN\s+{_VALUE})", re.IGNORECASE)
# Few rows come out of these however many go in, so that rows of a call say nothing of the predicate.
_GATHERS = re.compile(
    r"\b(?:GROUP\s+BY|LIMIT|FETCH\s+FIRST|DISTINCT|UNION)\b|\b(?:count|sum|avg|min|max|\w+_agg)\s*\(", re.I
)
_SHOWN = 160


class Column(Frozen):
    """A column of a large table."""

    distinct: float | None = Field(description="Different values, by statistics; None when not known")
    indexed: bool = Field(description="Whether a whole index begins with it")


class LargeTable(Frozen):
    """A table that is worth an index when it is read whole."""

    oid: int
    schema_name: str
    name: str
    rows: int = Field(description="Estimated")
    pages: int
    sequential_scans: float = Field(description="Since the counters were reset")
    sequential_rows: float = Field(description="Rows that those scans read")
    columns: dict[str, Column]


def read(session: Session, policy: PerformancePolicy) -> tuple[LargeTable, ...]:
    """The large tables of the session's database."""
    bound = {"bytes": policy.large_table_bytes}
    rows = session.execute(queries.load("review/large_tables"), bound).fetchall()
    return tuple(LargeTable.model_validate(dict(zip(LargeTable.model_fields, row, strict=True))) for row in rows)


def part(statements: Statements, tables: Sequence[LargeTable], policy: PerformancePolicy) -> Part:
    """One INFO for each index that is asked for, the costliest statement of each as its evidence."""
    costs: dict[tuple[int, tuple[str, ...]], list[tuple[float, str]]] = {}
    by_oid = {table.oid: table for table in tables}
    for key, counts in statements.period.counts.items():
        if counts["calls"] < policy.minimum_calls or key not in statements.now.labels:
            continue
        text = statements.now.labels[key][1]
        for table, columns in wanted(text, counts, tables, policy.selective_share):
            costs.setdefault((table.oid, columns), []).append((counts["time_ms"], key))
    found = sorted(costs.items(), key=lambda item: sum(ms for ms, _ in item[1]), reverse=True)
    checks = [_told(statements, by_oid[oid], columns, max(keys)[1]) for (oid, columns), keys in found[: policy.top]]
    return Part(checks=tuple(checks))


def wanted(
    text: str, counts: Counts, tables: Sequence[LargeTable], selective_share: float
) -> Iterator[tuple[LargeTable, tuple[str, ...]]]:
    """Tables that the statement reads whole though it needs few of their rows, and the columns that would find them."""
    named = {_bare(found) for found in _TABLES.findall(text)}
    blocks = (counts["blocks_hit"] + counts["blocks_read"]) / counts["calls"]
    fitting = [table for table in tables if table.name in named]
    for table in fitting:
        if blocks < _WHOLE * table.pages or not table.rows:
            continue
        # A column that two of the tables have may be meant of either.
        own = {
            name: column
            for name, column in table.columns.items()
            if not any(name in other.columns for other in fitting if other is not table)
        }
        equal = [name for name in dict.fromkeys(map(_bare, _EQUAL.findall(text))) if name in own]
        between = dict.fromkeys(map(_bare, _RANGE.findall(text)))
        ranged = [name for name in between if name in own and name not in equal]
        columns = (*equal[:3], *ranged[:1])
        if columns and not any(own[name].indexed for name in (*equal, *ranged)) and (
            _selective(text, counts, table, equal, selective_share)
        ):  # fmt: skip
            yield table, columns


def _selective(text: str, counts: Counts, table: LargeTable, equal: Sequence[str], share: float) -> bool:
    """By the statistics of the columns; where they are not known, by the rows that come out of a call."""
    distinct = [table.columns[name].distinct for name in equal]
    if known := [number for number in distinct if number]:
        return 1 / max(known) <= share
    return not _GATHERS.search(text) and counts["rows"] / counts["calls"] <= share * table.rows


def _told(statements: Statements, table: LargeTable, columns: tuple[str, ...], key: str) -> CheckResult:
    counts = statements.period.counts[key]
    role, text = statements.now.labels[key]
    blocks = (counts["blocks_hit"] + counts["blocks_read"]) / counts["calls"]
    target = label(table.schema_name, table.name)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    message = (
        f"{counts['calls']:.0f} calls of {role} read {blocks:.0f} blocks each, the table has {table.pages}, for "
        f"{counts['rows'] / counts['calls']:.1f} of its {table.rows} rows, {mean_ms(counts):.1f} ms a call; "
        f"since the reset {table.sequential_scans:.0f} sequential scans read {table.sequential_rows:.0f} rows; "
        f"no index begins with {' or '.join(columns)}: {shown}"
    )
    return CheckResult(
        name="index advice",
        target=f"{statements.now.database} {target}",
        verdict=Verdict.INFO,
        message=message,
        next_command=f"CREATE INDEX CONCURRENTLY ON {target} ({', '.join(map(quoted, columns))})",
    )


def _bare(name: str) -> str:
    """The name as the catalogs have it: folded unless it is quoted."""
    return name[1:-1] if name.startswith('"') else name.lower()
