"""The plan: what would be done, why, how and in which order, as data that a person can read and a run carries out."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pydantic import Field

from tasks.base.maintenance import MaintenancePolicy
from tasks.base.words import Frozen
from tasks.postgres.inspect.bloat import Bloat
from tasks.postgres.inspect.relations import Index, Inspection, Table

SMALL_BYTES = 8 * 1024**2
LEFTOVER = re.compile(r"_cc(new|old)\d*$")


class Action(StrEnum):
    """The kinds of work, in the order in which they are done."""

    DROP_LEFTOVER = "drop leftover"
    FREEZE = "freeze"
    VACUUM = "vacuum"
    ANALYZE = "analyze"
    REINDEX = "reindex"


ON_TABLES = frozenset({Action.FREEZE, Action.VACUUM, Action.ANALYZE})


class Step(Frozen):
    """One piece of work on one table or index."""

    action: Action
    target: str = Field(description="SCHEMA.NAME, quoted where SQL needs it")
    oid: int
    schema_name: str
    name: str
    size_bytes: int
    why: str
    dead_rows: int = Field(default=0, description="Of the table, when the plan was made")
    xid_age: int = Field(default=0, description="Of the table, when the plan was made")
    with_analyze: bool = Field(default=False, description="A vacuum that refreshes statistics in the same pass")
    refused: str = Field(default="", description="Why it will not be done, and what to do instead")

    @property
    def small(self) -> bool:
        """Whether it shares its statement with others like it: of small tables the round trips cost the most."""
        return self.size_bytes <= SMALL_BYTES and self.action in ON_TABLES

    @property
    def key(self) -> str:
        """What outcomes and history are filed under."""
        return f"{self.action} {self.target}"


def plan(inspection: Inspection, bloat: Mapping[int, Bloat], policy: MaintenancePolicy) -> tuple[Step, ...]:
    """All steps in order: leftovers, freezing, vacuum by harm, statistics, rebuilds by what they give back."""
    vacuumed = [*_freezes(inspection, policy), *_vacuums(inspection, policy)]
    done = {step.oid for step in vacuumed}
    analyzed = {step.oid for step in vacuumed if step.with_analyze}
    return (
        *_leftovers(inspection.indexes),
        *vacuumed,
        *_analyzes(inspection, policy, analyzed),
        *_rebuilds(inspection.indexes, bloat, policy, done),
    )


def _leftovers(indexes: Sequence[Index]) -> list[Step]:
    return [
        _on_index(Action.DROP_LEFTOVER, index, "left by a rebuild that was killed; it costs every write")
        for index in indexes
        if not index.valid and LEFTOVER.search(index.name)
    ]


def _freezes(inspection: Inspection, policy: MaintenancePolicy) -> list[Step]:
    old = [table for table in inspection.tables if table.kind != "p" and table.freeze_share >= policy.freeze_age_share]
    return [
        _on_table(
            Action.FREEZE,
            table,
            policy,
            f"{table.xid_age} transactions and {table.multixact_age} multixacts old, "
            f"{table.freeze_share:.0%} of the age at which a wraparound vacuum is forced",
            inspection.facts.role,
        )
        for table in sorted(old, key=lambda table: -table.freeze_share)
    ]


def _vacuums(inspection: Inspection, policy: MaintenancePolicy) -> list[Step]:
    dead = [
        table
        for table in inspection.tables
        if table.kind != "p"
        and table.freeze_share < policy.freeze_age_share
        and table.dead_rows >= policy.dead_rows
        and _dead_share(table) >= policy.dead_share
    ]
    return [
        _on_table(
            Action.VACUUM,
            table,
            policy,
            f"{table.dead_rows} dead rows, {_dead_share(table):.0%} of all",
            inspection.facts.role,
        )
        for table in sorted(dead, key=lambda table: -_dead_share(table) * table.size_bytes)
    ]


def _analyzes(inspection: Inspection, policy: MaintenancePolicy, done: set[int]) -> list[Step]:
    """Tables whose statistics are old, and after them the partitioned ones above, which autovacuum never does."""
    tables, role = inspection.tables, inspection.facts.role
    by_oid = {table.oid: table for table in tables}
    changed = [table for table in tables if table.kind != "p" and _changed(table, policy)]
    above = {oid for table in changed for oid in _ancestors(table, by_oid)}
    parents = [table for table in tables if table.kind == "p" and (table.oid in above or not table.analyzed)]
    return [
        _on_table(Action.ANALYZE, table, policy, _why_analyze(table), role)
        for table in (*changed, *parents)
        if table.oid not in done
    ]


def _rebuilds(
    indexes: Sequence[Index], bloat: Mapping[int, Bloat], policy: MaintenancePolicy, vacuumed: set[int]
) -> list[Step]:
    """Measured waste, and the indexes of vacuumed tables, where dead entries count as used until the vacuum."""
    found = []
    for index in indexes:
        known = bloat.get(index.oid)
        if known is None or not index.valid:
            continue
        if known.trust == "measured" and (known.waste_share or 0) >= policy.index_waste_share:
            gain = (known.waste_share or 0) * index.size_bytes
            found.append((gain, _rebuild(index, f"{known.waste_share:.0%} of {index.size_bytes} bytes would be free")))
        elif index.table_oid in vacuumed and known.trust in ("measured", "high"):
            found.append((0.0, _rebuild(index, "only if it is bloated when it is measured again after the vacuum")))
    return [step for _, step in sorted(found, key=lambda one: -one[0])]


def _rebuild(index: Index, why: str) -> Step:
    step = _on_index(Action.REINDEX, index, why)
    if not index.exclusion:
        return step
    refused = f"an exclusion constraint cannot be rebuilt beside writers; in a quiet hour: REINDEX INDEX {index.label}"
    return step.model_copy(update={"refused": refused})


def _on_index(action: Action, index: Index, why: str) -> Step:
    return Step(
        action=action,
        target=index.label,
        oid=index.oid,
        schema_name=index.schema_name,
        name=index.name,
        size_bytes=index.size_bytes,
        why=why,
    )


def _on_table(action: Action, table: Table, policy: MaintenancePolicy, why: str, role: str) -> Step:
    target = table.label
    grant = (
        f"{role} does not own {target}; as its owner: GRANT MAINTAIN ON {target} TO {role} (17+), or make it a member"
    )
    return Step(
        action=action,
        target=target,
        oid=table.oid,
        schema_name=table.schema_name,
        name=table.name,
        size_bytes=table.size_bytes,
        why=why,
        dead_rows=table.dead_rows,
        xid_age=table.xid_age,
        with_analyze=action is not Action.ANALYZE and _changed(table, policy),
        refused="" if table.may_maintain else grant,
    )


def _dead_share(table: Table) -> float:
    return table.dead_rows / max(1, table.live_rows + table.dead_rows)


def _changed(table: Table, policy: MaintenancePolicy) -> bool:
    enough = table.changed_rows >= max(policy.changed_rows, policy.changed_share * table.live_rows)
    return enough or (not table.analyzed and table.live_rows > 0)


def _why_analyze(table: Table) -> str:
    if table.kind == "p":
        return "partitions below it changed" if table.analyzed else "never analyzed, and autovacuum never will"
    return f"{table.changed_rows} rows changed since the last analyze" if table.analyzed else "never analyzed"


def _ancestors(table: Table, by_oid: Mapping[int, Table]) -> list[int]:
    above = []
    while (parent := by_oid.get(table.parent_oid)) is not None:
        above.append(parent.oid)
        table = parent
    return above
