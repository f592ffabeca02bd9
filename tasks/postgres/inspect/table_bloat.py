"""How much of a table is air: its size per row against when it was measured, else an estimate from the statistics,
clears it; what neither clears is measured by pgstattuple_approx.

Nothing is done about it here: only a rewrite gives the space back, and that locks the table.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from typing import cast

from psycopg import sql

from tasks.base.clock import utc_now
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.inspect.bloat import Baseline, Bloat, against, of_this_one, unknown
from tasks.postgres.inspect.budget import Budget, Session
from tasks.postgres.inspect.measuring import cannot_measure, cleared_or_measured, figures
from tasks.postgres.inspect.relations import ServerFacts, Table

# Page header; a row's header with its line pointer, and the alignment of rows (storage/bufpage.h, htup_details.h).
_PAGE_HEADER_BYTES, _ROW_HEADER_BYTES, _ALIGNMENT_BYTES = 24, 28, 8
_STALE_SHARE = 0.1


def measure_tables(
    session: Session,
    facts: ServerFacts,
    tables: Sequence[Table],
    baselines: Mapping[str, Baseline],
    share: float,
    budget: Budget,
) -> dict[int, Bloat]:
    """By oid: the cheap figure of those that it clears, else what was measured."""
    rows = budget.read(session, queries.load("inspect/table_widths"), {"oids": [table.oid for table in tables]})
    widths = {int(cast(int, oid)): cast(float | None, width) for oid, width in rows or ()}
    cheap = {table.oid: _cheaply(table, baselines, widths.get(table.oid), facts.block_bytes) for table in tables}
    cleared = {oid: one for oid, one in cheap.items() if one.waste_share is not None and one.waste_share < share}
    order = sorted(tables, key=lambda one: -one.size_bytes)
    return cleared_or_measured(session, order, cleared, partial(_measure, session, facts), budget)


def measured_baselines(tables: Sequence[Table], bloat: Mapping[int, Bloat]) -> dict[str, Baseline]:
    """By SCHEMA.NAME what the tables that were measured now need for a row, without the air in them."""
    found = {}
    for table in tables:
        known = bloat.get(table.oid)
        if known is None or known.waste_share is None or known.trust != "measured" or _unsure(table):
            continue
        needed = (1 - known.waste_share) * table.size_bytes / table.rows
        day = f"{utc_now():%Y-%m-%d}"
        found[table.label] = Baseline(oid=table.oid, fillfactor=table.fillfactor, bytes_per_row=needed, day=day)
    return found


def _cheaply(table: Table, baselines: Mapping[str, Baseline], width: float | None, block_bytes: int) -> Bloat:
    known = of_this_one(baselines, table)
    if known is None or _unsure(table):
        return estimated(table, width, block_bytes)
    return against(table, known, "measurement")


def _unsure(table: Table) -> bool:
    """Whether the number of its rows is too old, or not known."""
    return not table.rows or table.changed_rows > _STALE_SHARE * table.rows


def estimated(table: Table, width: float | None, block_bytes: int) -> Bloat:
    """The statistics' estimate of the air in a table without its TOAST, or the reason why there is none.

    `width` is the average bytes of a row's columns, as they lie in the table itself.
    """
    if not table.rows or width is None:
        return unknown(
            "statistics are missing, or pg_read_all_data is; ANALYZE or GRANT pg_read_all_data settles it"
            if table.rows
            else "the number of rows is not known; ANALYZE settles it"
        )
    if _unsure(table):
        return unknown(f"{table.changed_rows} rows changed since the statistics; ANALYZE settles it")
    row = ceil(width / _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES + _ROW_HEADER_BYTES
    fresh = ceil(table.rows * row / ((block_bytes - _PAGE_HEADER_BYTES) * table.fillfactor / 100)) * block_bytes
    return Bloat(
        waste_share=max(0.0, 1 - fresh / table.size_bytes),
        method="estimate from statistics",
        trust="low",
        reason="padding between columns, and TOAST, are not in the statistics",
    )


def _measure(session: Session, facts: ServerFacts, table: Table) -> Bloat:
    if facts.pgstattuple_schema is None or not facts.may_scan:
        return cannot_measure(facts)
    query = sql.SQL(queries.load("inspect/table_free").decode()).format(
        schema=sql.Identifier(facts.pgstattuple_schema), oid=sql.Literal(table.oid)
    )
    row = figures(session, query)
    if isinstance(row, Bloat):
        return row
    size, free = row
    reserve = (1 - table.fillfactor / 100) * size
    waste = max(0.0, free - reserve) / max(1, size)
    return Bloat(waste_share=min(1.0, waste), method="pgstattuple_approx", trust="measured")


def table_checks(database: str, tables: Sequence[Table], bloat: dict[int, Bloat], share: float) -> list[CheckResult]:
    """INFO for each table that is mostly air, with the statement that would rewrite it; SKIP where it is not known."""
    checks = []
    for table in tables:
        known = bloat.get(table.oid)
        if known is None or (known.waste_share is not None and known.waste_share < share):
            continue
        measured = known.waste_share is not None
        checks.append(
            CheckResult(
                name="table bloat",
                target=f"{database} {table.label}",
                verdict=Verdict.INFO if measured else Verdict.SKIP,
                message=f"{known.waste_share:.0%} of {table.size_bytes} bytes are free or dead ({known.method}); "
                "new rows will use it, only a rewrite gives it back"
                if measured
                else known.reason,
                value=known.waste_share,
                next_command=f"VACUUM (FULL, ANALYZE) {table.label} -- in a quiet hour: it locks the table"
                if measured
                else "",
            )
        )
    return checks
