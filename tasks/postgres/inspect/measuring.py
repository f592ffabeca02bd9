"""The last rung of the ladder: an index is read whole, by the function that fits its access method.

B-trees and hash indexes are measured. Of the others no function tells what a rebuild would give back: what it does
tell is said, with the statement that settles it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil, isnan
from typing import TypeVar, cast

import psycopg
from psycopg import sql

from tasks.base import stopping
from tasks.postgres.connection import lost
from tasks.postgres.inspect.bloat import Bloat, unknown
from tasks.postgres.inspect.budget import Budget, Session
from tasks.postgres.inspect.relations import Index, ServerFacts, Table
from tasks.postgres.names import quoted

# An entry of a hash index with its line pointer; header and special space of its pages (access/hash.h).
_HASH_ENTRY_BYTES, _HASH_PAGE_BYTES = 20, 40
# Up to that power of two its buckets are doubled at once, from there on by quarters (_hash_spareindex).
_DOUBLED_AT_ONCE, _PHASES = 9, 4
_FUNCTIONS = {
    "btree": "SELECT index_size, leaf_pages, internal_pages, avg_leaf_density FROM {}.pgstatindex({}::oid::regclass)",
    "hash": "SELECT live_items, pg_relation_size({1}::oid) FROM {0}.pgstathashindex({1}::oid::regclass)",
    "gin": "SELECT pending_pages, pending_tuples FROM {}.pgstatginindex({}::oid::regclass)",
    "gist": "SELECT free_percent FROM {}.pgstattuple({}::oid::regclass)",
}
Row = tuple[float, ...]
Relation = TypeVar("Relation", Index, Table)


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
    cleared = {
        oid: cheap for oid, cheap in suspected.items() if cheap.trust == "high" and (cheap.waste_share or 0) < share
    }
    return cleared_or_measured(session, order, cleared, partial(measure, session, facts), budget)


def cleared_or_measured(
    session: Session,
    order: Sequence[Relation],
    cleared: Mapping[int, Bloat],
    measured: Callable[[Relation], Bloat],
    budget: Budget,
) -> dict[int, Bloat]:
    """By oid what clears a relation, else what is measured of it, in that order until the time is over."""
    found = {}
    for relation in order:
        stopping.raise_if_stopped()
        if relation.oid in cleared:
            found[relation.oid] = cleared[relation.oid]
        elif budget.left_seconds() <= 0:
            found[relation.oid] = unknown(f"there was no time left to measure it: {budget.reason}")
        else:
            budget.limit(session)
            found[relation.oid] = measured(relation)
    return found


def measure(session: Session, facts: ServerFacts, index: Index) -> Bloat:
    """Read the whole index, within the session's statement_timeout."""
    if index.method not in _FUNCTIONS:
        return _unmeasurable(index)
    if facts.pgstattuple_schema is None or not facts.may_scan:
        return cannot_measure(facts)
    query = sql.SQL(_FUNCTIONS[index.method]).format(sql.Identifier(facts.pgstattuple_schema), sql.Literal(index.oid))
    row = figures(session, query)
    return row if isinstance(row, Bloat) else _READ[index.method](index, facts, row)


def figures(session: Session, query: sql.Composed) -> Row | Bloat:
    """What a function of pgstattuple says of a relation, or why it is not known: dropped, locked, damaged, no time."""
    try:
        return cast(Row, session.execute(query).fetchone())
    except psycopg.errors.QueryCanceled:
        stopping.raise_if_stopped()
        return unknown("measuring it took too long; raise maintenance.inspection_seconds, or give it a longer window")
    except psycopg.Error as error:
        if lost(error):
            raise
        return unknown(" ".join(str(error).split()))


def cannot_measure(facts: ServerFacts) -> Bloat:
    """What is missing to measure anything."""
    if facts.pgstattuple_schema is None:
        return unknown("extension pgstattuple is not installed; CREATE EXTENSION pgstattuple settles it")
    schema, role = quoted(facts.pgstattuple_schema), facts.role
    return unknown(
        f"this role may not measure; GRANT pg_stat_scan_tables TO {role}; GRANT USAGE ON SCHEMA {schema} TO {role}"
    )


def fresh_bytes(leaves: int, internal: int, density: float, fillfactor: int, block_bytes: int) -> int:
    """Bytes of the same entries in leaf pages as a build fills them; `density` in percent, NaN without leaf pages.

    The pages above the leaves shrink with them; the meta page stays.
    """
    share = 0.0 if isnan(density) else min(1.0, density / fillfactor)
    return (ceil(leaves * share) + ceil(internal * share) + 1) * block_bytes


def fresh_hash_bytes(entries: int, fillfactor: int, block_bytes: int) -> int:
    """The most that a build takes for so many entries: its buckets, and all that equal keys may put beside them."""
    wanted = max(2, entries * _HASH_ENTRY_BYTES // (block_bytes * fillfactor // 100))
    power = (wanted - 1).bit_length()
    buckets = 1 << power
    if power > _DOUBLED_AT_ONCE:
        step = (1 << power - 1) // _PHASES
        buckets = (1 << power - 1) + ceil((wanted - (1 << power - 1)) / step) * step
    overflow = entries * _HASH_ENTRY_BYTES // (block_bytes - _HASH_PAGE_BYTES)
    return (1 + 1 + buckets + overflow) * block_bytes


def _btree(index: Index, facts: ServerFacts, row: Row) -> Bloat:
    size, leaves, internal, density = row
    fresh = fresh_bytes(int(leaves), int(internal), density, index.fillfactor, facts.block_bytes)
    return Bloat(waste_share=max(0.0, 1 - fresh / max(size, 1)), method="pgstatindex", trust="measured")


def _hash(index: Index, facts: ServerFacts, row: Row) -> Bloat:
    entries, size = row
    fresh = fresh_hash_bytes(int(entries), index.fillfactor, facts.block_bytes)
    return Bloat(
        waste_share=max(0.0, 1 - fresh / max(size, 1)),
        method="pgstathashindex",
        trust="measured",
        reason="at least: pages that equal keys need are left to it",
    )


def _gin(index: Index, _: ServerFacts, row: Row) -> Bloat:
    pages, rows = row
    pending = f"pgstatginindex knows only its pending list, {pages:.0f} pages with {rows:.0f} rows"
    empties = f" (SELECT gin_clean_pending_list({_literal(index)}) empties it)" if pages else ""
    return unknown(f"{pending}{empties}; {_otherwise(index)}")


def _gist(index: Index, _: ServerFacts, row: Row) -> Bloat:
    found = f"pgstattuple found {row[0]:.0f} % of its pages free, and how much a build leaves free depends on the data"
    return unknown(f"{found}; {_otherwise(index)}")


def _unmeasurable(index: Index) -> Bloat:
    if index.method == "brin":
        summarize = f"SELECT brin_summarize_new_values({_literal(index)})"
        return unknown(f"a BRIN index has an entry for many pages, not for a row; {summarize} if its scans became slow")
    return unknown(f"nothing measures a {index.method} index; {_otherwise(index)}")


def _literal(index: Index) -> str:
    return "'" + index.label.replace("'", "''") + "'"


def _otherwise(index: Index) -> str:
    return f"REINDEX INDEX CONCURRENTLY {index.label} if it grew without reason"


_READ: dict[str, Callable[[Index, ServerFacts, Row], Bloat]] = {
    "btree": _btree,
    "hash": _hash,
    "gin": _gin,
    "gist": _gist,
}
