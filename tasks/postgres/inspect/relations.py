"""Tables and indexes as the catalogs and statistics show them: one query each, no table is read."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg
from pydantic import Field, TypeAdapter

from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres import queries
from tasks.postgres.connection import lost
from tasks.postgres.inspect.budget import Budget, Session
from tasks.postgres.names import label

Row = TypeVar("Row", bound=Frozen)
OLDEST_TESTED, NEWEST_TESTED = 15, 18
# What is looked for beside the plan: the statement in queries/inspect, and how much it matters.
_QUESTIONS = {
    "hidden_sessions": Verdict.SKIP,
    "hidden_sequences": Verdict.SKIP,
    "xmin_holders": Verdict.WARN,
    "invalid_indexes": Verdict.WARN,
    "sequences_near_end": Verdict.WARN,
    "autovacuum_behind": Verdict.INFO,
    "duplicate_indexes": Verdict.INFO,
    "overlapping_indexes": Verdict.INFO,
    "unused_indexes": Verdict.INFO,
    "unindexed_foreign_keys": Verdict.INFO,
}
_SEQUENCE_SHARE = 0.8
_UNUSED_BYTES = 1024**2


class Table(Frozen):
    """A table, materialized view or partitioned table; dead rows, size and ages include its TOAST."""

    oid: int
    parent_oid: int = Field(description="The table that it is a partition or child of; 0: none")
    schema_name: str
    name: str
    kind: str = Field(description="relkind: r, m or p")
    rows: int = Field(description="Estimated, as of the last vacuum or analyze; 0 when neither was")
    size_bytes: int = Field(description="Pages as of the last vacuum or analyze")
    live_rows: int
    dead_rows: int
    changed_rows: int = Field(description="Since the last analyze")
    xid_age: int = Field(description="Transactions since the oldest that is not frozen")
    multixact_age: int
    freeze_max_age: int = Field(description="xid_age at which autovacuum freezes whatever it costs")
    multixact_freeze_max_age: int
    analyzed: bool = Field(description="Whether it ever was, since statistics were reset")
    may_maintain: bool = Field(description="Whether this role may vacuum it")
    last_vacuum: datetime | None = Field(default=None, description="By hand or by autovacuum; None: never, or unknown")
    last_analyze: datetime | None = Field(default=None, description="By hand or by autovacuum; None: never, or unknown")
    scans: int = Field(default=0, description="Sequential scans since statistics were reset")
    hot_share: float | None = Field(default=None, description="Updates that touched no index, 0 to 1; None: no updates")
    fillfactor: int = Field(default=100, description="Percent of a page that inserts fill")

    @property
    def label(self) -> str:
        """SCHEMA.NAME, quoted where SQL needs it."""
        return label(self.schema_name, self.name)

    @property
    def freeze_share(self) -> float:
        """Age as a share of the age at which a wraparound vacuum is forced, the larger of both counters."""
        return max(self.xid_age / self.freeze_max_age, self.multixact_age / self.multixact_freeze_max_age)


class Index(Frozen):
    """An index that has pages of its own."""

    oid: int
    table_oid: int
    schema_name: str
    name: str
    table_name: str
    method: str = Field(description="Access method, e.g. btree")
    size_bytes: int
    rows: int = Field(description="Entries as of the last vacuum or analyze")
    valid: bool
    unique: bool
    exclusion: bool = Field(description="Whether it stands behind an exclusion constraint")
    partial: bool
    expression: bool
    fillfactor: int = Field(description="Percent of a leaf page that a build fills")
    location: str = Field(description="Folder of its tablespace on the server; empty: the data folder")
    scans: int = Field(default=0, description="Since statistics were reset")

    @property
    def label(self) -> str:
        """SCHEMA.NAME, quoted where SQL needs it."""
        return label(self.schema_name, self.name)


class ServerFacts(Frozen):
    """What decides how much can be known and done."""

    server_version_num: int
    standby: bool
    pgstattuple_schema: str | None = Field(description="Where the extension lies; None when it is not installed")
    may_scan: bool = Field(description="Whether this role may use its schema and call its functions")
    data_folder: Path | None
    local: bool = Field(description="Whether the server is on this host")
    cluster_bytes: int = Field(description="Bytes of all databases that this role may enter")
    block_bytes: int
    role: str = Field(description="The role of this connection, quoted as it stands in a GRANT")


class Inspection(Frozen):
    """A database at one moment."""

    facts: ServerFacts
    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    checks: tuple[CheckResult, ...]
    unread: str = Field(default="", description="Why tables and indexes were not read; empty when they were")


def inspect(
    session: Session, beside: Session, database: str, held_back_transactions: int, budget: Budget
) -> Inspection:
    """Everything that a maintenance plan is made from; reads catalogs only, and says what it had no time for.

    Indexes are read in the session `beside`, which takes as long as all else does together. What holds back vacuum
    is told when it is older than `held_back_transactions`.
    """
    bound = {"transactions": held_back_transactions, "share": _SEQUENCE_SHARE, "unused_bytes": _UNUSED_BYTES}
    facts = read_facts(session)
    version = facts.server_version_num
    checks = [] if OLDEST_TESTED <= version // 10000 <= NEWEST_TESTED else [_untested(database, version)]
    with ThreadPoolExecutor(max_workers=1) as other:
        asked = other.submit(_read, beside, Index, queries.load("inspect/indexes"), budget)
        tables = _read(session, Table, queries.load("inspect/tables", version), budget)
        checks += [check for question in _QUESTIONS for check in _ask(session, database, question, bound, budget)]
        indexes = asked.result()
    return Inspection(
        facts=facts,
        tables=tables or (),
        indexes=indexes or (),
        checks=tuple(checks),
        unread="" if tables is not None and indexes is not None else budget.reason,
    )


def _read(session: Session, model: type[Row], statement: bytes, budget: Budget) -> tuple[Row, ...] | None:
    rows = budget.read(session, statement)
    return None if rows is None else _models(model, rows)


def read_indexes(session: Session) -> tuple[Index, ...]:
    """All indexes of users' tables that have pages, with their sizes now."""
    return _models(Index, session.execute(queries.load("inspect/indexes")).fetchall())


def read_facts(session: Session) -> ServerFacts:
    """What the server is and what this role may do there."""
    (facts,) = _models(ServerFacts, session.execute(queries.load("inspect/facts")).fetchall())
    return facts


def _ask(
    session: Session, database: str, question: str, bound: Mapping[str, object], budget: Budget
) -> list[CheckResult]:
    name = question.replace("_", " ")
    try:
        rows = budget.read(session, queries.load(f"inspect/{question}"), bound)
        reason = budget.reason
    except psycopg.Error as error:
        if lost(error):
            raise
        rows, reason = None, " ".join(str(error).split())
    if rows is None:
        message = f"was not looked at: {reason}"
        return [CheckResult(name=name, target=database, verdict=Verdict.SKIP, message=message)]
    return [
        CheckResult(
            name=name,
            target=f"{database} {target}",
            verdict=_QUESTIONS[question],
            message=str(message),
            next_command=str(command),
        )
        for target, message, command in rows
    ]


def _untested(database: str, version: int) -> CheckResult:
    return CheckResult(
        name="version",
        target=database,
        verdict=Verdict.WARN,
        message=f"PostgreSQL {version // 10000} is untested, {OLDEST_TESTED} to {NEWEST_TESTED} are; "
        "read the plan before you let it run",
    )


def _models(model: type[Row], rows: Sequence[tuple[object, ...]]) -> tuple[Row, ...]:
    # All by one call: one by one, half of the time goes into the calls.
    names = tuple(model.model_fields)
    read: TypeAdapter[list[Row]] = TypeAdapter(list[model])  # type: ignore[valid-type]
    return tuple(read.validate_python([dict(zip(names, row, strict=True)) for row in rows]))
