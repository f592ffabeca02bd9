"""How much of an index would be free after a rebuild: a ladder from cheap and unsure to measured.

A figure always carries its method and what is known about its trust. Only a measured one justifies a rebuild.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Literal, cast

from pydantic import Field

from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.inspect.budget import Budget, Session
from tasks.postgres.inspect.relations import Index, Table

Trust = Literal["measured", "high", "low", "none"]
# A B-tree page has 24 bytes of header and 16 of opaque data; an entry 8 of header, 4 of line pointer, 8-byte alignment.
_PAGE_OVERHEAD_BYTES, _ENTRY_HEADER_BYTES, _POINTER_BYTES, _ALIGNMENT_BYTES = 40, 8, 4, 8
_STALE_SHARE = 0.1


class Bloat(Frozen):
    """The share of an index that a rebuild would give back, as far as it is known."""

    waste_share: float | None = Field(description="0 to 1; None: not known")
    method: str
    trust: Trust
    reason: str = Field(default="", description="Why it is not known or not trusted, and what would settle it")


class Baseline(Frozen):
    """What a freshly built index needed, or a table when the air that was measured in it is taken away.

    It holds for that very one: one of the same name that was made anew, or is to be filled otherwise, has another
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
    own = {index.oid: known for index in indexes if (known := of_this_one(baselines, index)) is not None}
    widths = _widths(session, [index.oid for index in indexes if index.oid not in own], budget)
    found = {}
    for index in indexes:
        baseline = own.get(index.oid)
        if baseline is not None and index.rows:
            found[index.oid] = against(index, baseline, "build")
        else:
            width, changed = widths.get(index.oid, (None, 0))
            found[index.oid] = _estimated(index, width, changed, block_bytes)
    return found


def of_this_one(baselines: Mapping[str, Baseline], relation: Index | Table) -> Baseline | None:
    """The baseline of that very index or table, not of another that had its name; None without one."""
    known = baselines.get(relation.label)
    return known if known and (known.oid, known.fillfactor) == (relation.oid, relation.fillfactor) else None


def against(relation: Index | Table, baseline: Baseline, what: str) -> Bloat:
    """What its size per row says; `what` is that of which the baseline comes."""
    waste = max(0.0, 1 - baseline.bytes_per_row * relation.rows / relation.size_bytes)
    return Bloat(waste_share=waste, method=f"size per row against the {what} of {baseline.day}", trust="high")


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


def unknown(reason: str) -> Bloat:
    """Nothing is known of it, for that reason."""
    return Bloat(waste_share=None, method="none", trust="none", reason=reason)


def _widths(session: Session, oids: list[int], budget: Budget) -> dict[int, tuple[float | None, int]]:
    rows = budget.read(session, queries.load("inspect/index_widths"), {"oids": oids}) or []
    return {
        int(cast(int, oid)): (None if width is None else float(cast(float, width)), int(cast(int, changed)))
        for oid, width, changed in rows
    }
