"""How much of an index would be free after a rebuild: a ladder from cheap and unsure to measured.

A figure always carries its method and what is known about its trust. Only a measured one justifies a rebuild.
"""

from collections.abc import Mapping, Sequence
from math import ceil, isnan
from typing import Literal, cast

import psycopg
from psycopg import sql
from pydantic import Field

from tasks.base import stopping
from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.inspect.budget import Budget, Session
from tasks.postgres.inspect.relations import Index, ServerFacts

Trust = Literal["measured", "high", "low", "none"]
# A B-tree page has 24 bytes of header and 16 of opaque data; an entry 8 of header, 4 of line pointer, 8-byte alignment.
_PAGE_OVERHEAD_BYTES, _ENTRY_HEADER_BYTES, _POINTER_BYTES, _ALIGNMENT_BYTES = 40, 8, 4, 8
_STALE_SHARE = 0.1
# Dropped meanwhile (by name or, as XX000, by its number), locked, or not ready.
_NOT_NOW = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedObject,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.InternalError_,
)


class Bloat(Frozen):
    """The share of an index that a rebuild would give back, as far as it is known."""

    waste_share: float | None = Field(description="0 to 1; None: not known")
    method: str
    trust: Trust
    reason: str = Field(default="", description="Why it is not known or not trusted, and what would settle it")


class Baseline(Frozen):
    """What a freshly built index needed.

    It holds for that very build: one of the same name that was made anew, or is to be filled otherwise, has another
    number or fill factor, and inherits nothing.
    """

    oid: int
    fillfactor: int
    bytes_per_row: float
    day: str


def suspect(
    session: Session, indexes: Sequence[Index], baselines: Mapping[str, Baseline], block_bytes: int, budget: Budget
) -> dict[int, Bloat]:
    """The cheap rungs of the ladder, by index oid: size per row against the baseline, else the statistics."""
    own = {index.oid: known for index in indexes if (known := _of_this_build(baselines, index)) is not None}
    widths = _widths(session, [index.oid for index in indexes if index.oid not in own], budget)
    found = {}
    for index in indexes:
        baseline = own.get(index.oid)
        if baseline is not None and index.rows:
            found[index.oid] = _against(index, baseline)
        else:
            width, changed = widths.get(index.oid, (None, 0))
            found[index.oid] = _estimated(index, width, changed, block_bytes)
    return found


def _of_this_build(baselines: Mapping[str, Baseline], index: Index) -> Baseline | None:
    known = baselines.get(index.label)
    return known if known and (known.oid, known.fillfactor) == (index.oid, index.fillfactor) else None


def _against(index: Index, baseline: Baseline) -> Bloat:
    waste = max(0.0, 1 - baseline.bytes_per_row * index.rows / index.size_bytes)
    return Bloat(waste_share=waste, method=f"size per row against the build of {baseline.day}", trust="high")


def _estimated(index: Index, width: float | None, changed_rows: int, block_bytes: int) -> Bloat:
    """The statistics' estimate, or the reason why there is none."""
    reason = ""
    if index.method != "btree":
        reason = f"a {index.method} index is estimated only against a build of its own"
    elif index.partial:
        reason = "statistics are of the whole table, the index is partial"
    elif not index.rows:
        reason = "the number of rows is not known; ANALYZE settles it"
    elif width is None:
        reason = (
            "statistics of a column are missing, or pg_read_all_data is; ANALYZE or GRANT pg_read_all_data settles it"
        )
    elif changed_rows > _STALE_SHARE * index.rows:
        reason = f"{changed_rows} rows changed since the statistics; ANALYZE settles it"
    if reason or width is None:
        return Bloat(waste_share=None, method="none", trust="none", reason=reason)
    fresh = estimated_bytes(index.rows, width, index.fillfactor, block_bytes)
    return Bloat(
        waste_share=max(0.0, 1 - fresh / index.size_bytes),
        method="estimate from statistics",
        trust="low",
        reason="equal keys may be stored once, which statistics do not show",
    )


def estimated_bytes(rows: int, width: float, fillfactor: int, block_bytes: int) -> int:
    """Bytes of a fresh B-tree without deduplication: its leaf pages, and one for the meta page."""
    aligned = ceil((_ENTRY_HEADER_BYTES + width) / _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    usable = (block_bytes - _PAGE_OVERHEAD_BYTES) * fillfactor / 100
    return (ceil(rows * (aligned + _POINTER_BYTES) / usable) + 1) * block_bytes


def measure(session: Session, facts: ServerFacts, index: Index) -> Bloat:
    """Read the whole index by pgstatindex, within the session's statement_timeout."""
    if index.method != "btree":
        command = f"REINDEX INDEX CONCURRENTLY {index.label}"
        return unknown(f"nothing measures a {index.method} index; {command} if it grew without reason")
    if facts.pgstattuple_schema is None or not facts.may_scan:
        return cannot_measure(facts)
    query = sql.SQL(
        "SELECT index_size, leaf_pages, internal_pages, avg_leaf_density FROM {}.pgstatindex({}::oid::regclass)"
    ).format(sql.Identifier(facts.pgstattuple_schema), sql.Literal(index.oid))
    try:
        row = cast(tuple[int, int, int, float], session.execute(query).fetchone())
    except psycopg.errors.QueryCanceled:
        return unknown("measuring it took too long; raise maintenance.inspection_seconds, or give it a longer window")
    except _NOT_NOW as error:
        return unknown(" ".join(str(error).split()))
    size, leaves, internal, density = row
    fresh = fresh_bytes(leaves, internal, density, index.fillfactor, facts.block_bytes)
    return Bloat(waste_share=max(0.0, 1 - fresh / max(size, 1)), method="pgstatindex", trust="measured")


def cannot_measure(facts: ServerFacts) -> Bloat:
    """What is missing to measure anything."""
    if facts.pgstattuple_schema is None:
        return unknown("extension pgstattuple is not installed; CREATE EXTENSION pgstattuple settles it")
    schema = sql.Identifier(facts.pgstattuple_schema).as_string()
    return unknown(f"this role may not measure; GRANT pg_stat_scan_tables and USAGE ON SCHEMA {schema} settle it")


def fresh_bytes(leaves: int, internal: int, density: float, fillfactor: int, block_bytes: int) -> int:
    """Bytes of the same entries in leaf pages as a build fills them; `density` in percent, NaN without leaf pages.

    The pages above the leaves shrink with them; the meta page stays.
    """
    share = 0.0 if isnan(density) else min(1.0, density / fillfactor)
    return (ceil(leaves * share) + ceil(internal * share) + 1) * block_bytes


def measure_suspects(
    session: Session,
    facts: ServerFacts,
    indexes: Sequence[Index],
    suspected: Mapping[int, Bloat],
    share: float,
    budget: Budget,
) -> dict[int, Bloat]:
    """Measure what may be bloated, the largest likely waste first, until the time is over; the rest says so.

    An index that its own baseline clears is not read. A low-trust estimate only orders: it clears nothing.
    """
    order = sorted(indexes, key=lambda index: -(suspected[index.oid].waste_share or share) * index.size_bytes)
    found = {}
    for index in order:
        stopping.raise_if_stopped()
        cheap = suspected[index.oid]
        if cheap.trust == "high" and (cheap.waste_share or 0) < share:
            found[index.oid] = cheap
        elif budget.left_seconds() <= 0:
            found[index.oid] = unknown(f"there was no time left to measure it: {budget.reason}")
        else:
            budget.limit(session)
            found[index.oid] = measure(session, facts, index)
    return found


def unknown(reason: str) -> Bloat:
    """Nothing is known of it, for that reason."""
    return Bloat(waste_share=None, method="none", trust="none", reason=reason)


def _widths(session: Session, oids: list[int], budget: Budget) -> dict[int, tuple[float | None, int]]:
    rows = budget.read(session, queries.load("inspect/index_widths"), {"oids": oids}) or []
    return {
        int(cast(int, oid)): (None if width is None else float(cast(float, width)), int(cast(int, changed)))
        for oid, width, changed in rows
    }
