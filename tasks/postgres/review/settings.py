"""The settings of a server and the machine it runs on, and what is said about them."""

from collections.abc import Mapping
from typing import cast

import psutil
from psycopg import Connection
from pydantic import Field

from tasks.base.attachments import Table
from tasks.base.performance import Part, PerformancePolicy
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres import queries

Session = Connection[tuple[object, ...]]
_UNITS = {"B": 1, "kB": 1024, "8kB": 8192, "16kB": 16384, "32kB": 32768, "MB": 1024**2, "": 1}
NAMES = (
    "autovacuum", "autovacuum_max_workers", "autovacuum_vacuum_scale_factor", "autovacuum_work_mem",
    "checkpoint_completion_target", "data_checksums", "effective_cache_size", "fsync", "full_page_writes",
    "hash_mem_multiplier", "idle_in_transaction_session_timeout", "ignore_checksum_failure", "log_lock_waits",
    "log_min_duration_statement", "maintenance_work_mem", "max_connections", "pg_stat_statements.track",
    "random_page_cost", "shared_buffers", "synchronous_commit", "track_activities", "track_counts", "track_io_timing",
    "work_mem", "zero_damaged_pages",
)  # fmt: skip


SETTINGS_HEADER = ("database", "setting", "value", "verdict", "reason", "source", "command")


class Settings(Frozen):
    """Values by name as pg_settings has them, numbers of memory in bytes."""

    values: dict[str, str]
    waiting: tuple[str, ...] = Field(default=(), description="Changed in a file, and waiting for a restart")

    def text(self, name: str) -> str:
        """The value; empty when the server did not say."""
        return self.values.get(name, "")

    def number(self, name: str) -> float | None:
        """The value as a number; None when the server did not say."""
        return float(self.values[name]) if name in self.values else None


class Machine(Frozen):
    """What the settings are held against; None where it is not known."""

    memory_bytes: int | None
    solid_state: bool | None
    database_bytes: int = Field(description="Of all databases that the role may enter")
    largest_table_rows: int


class Advice(Frozen):
    """One setting that does not fit, why, and who says so."""

    setting: str
    verdict: Verdict
    reason: str
    source: str
    command: str


def read(session: Session, policy: PerformancePolicy) -> tuple[Settings, Machine]:
    """Ask the server; memory of a server on this host is this host's unless the system file says otherwise."""
    rows = session.execute(queries.load("review/settings"), {"names": list(NAMES)}).fetchall()
    found = cast(list[tuple[str, str, str, bool]], rows)
    local, database_bytes, rows_of_largest = cast(
        tuple[bool, int | None, int], session.execute(queries.load("review/machine")).fetchone()
    )
    memory = policy.memory_bytes or (psutil.virtual_memory().total if local else None)
    settings = Settings(
        values={name: _in_bytes(value, unit) for name, value, unit, _ in found},
        waiting=tuple(name for name, _, _, pending in found if pending),
    )
    return settings, Machine(
        memory_bytes=memory,
        solid_state=policy.solid_state,
        database_bytes=database_bytes or 0,
        largest_table_rows=rows_of_largest,
    )


def part(database: str, settings: Settings, machine: Machine, found: tuple[Advice, ...]) -> Part:
    """What was found as checks; what could not be judged, and what is well, as one check each."""
    checks = [
        CheckResult(
            name="setting",
            target=f"{database} {one.setting}",
            verdict=one.verdict,
            message=f"{one.reason} ({one.source})",
            next_command=one.command,
        )
        for one in found
    ]
    unknown: Mapping[str, object] = {"memory_bytes": machine.memory_bytes, "solid_state": machine.solid_state}
    if lacking := [f"performance.{name}" for name, value in unknown.items() if value is None]:
        message = f"what depends on the machine was not judged; set {' and '.join(lacking)} in the system file"
        checks.append(CheckResult(name="settings", target=database, verdict=Verdict.SKIP, message=message))
    well = len(settings.values) - len({one.setting for one in found} & settings.values.keys())
    message = f"{well} of {len(settings.values)} settings looked at give no reason to change them"
    checks.append(CheckResult(name="settings", target=database, verdict=Verdict.OK, message=message))
    return Part(checks=tuple(checks), attachments=(_table(database, settings, found),))


def _table(database: str, settings: Settings, found: tuple[Advice, ...]) -> Table:
    """Every setting that was looked at, with what is said of it; several rows where several rules object."""
    rows: list[dict[str, object]] = []
    for name in sorted({*settings.values, *settings.waiting}):
        objections = [one for one in found if one.setting == name]
        value = {"database": database, "setting": name, "value": settings.text(name)}
        rows += [
            {**value, "verdict": str(one.verdict), "reason": one.reason, "source": one.source, "command": one.command}
            for one in objections
        ] or [{**value, "verdict": str(Verdict.OK), "reason": "", "source": "", "command": ""}]
    return Table(name="settings", title="Settings", header=SETTINGS_HEADER, rows=tuple(rows))


def _in_bytes(value: str, unit: str) -> str:
    """The value in bytes when it is of memory; -1 is a word and no size."""
    if unit not in _UNITS or unit == "" or value == "-1":
        return value
    return str(int(float(value) * _UNITS[unit]))
