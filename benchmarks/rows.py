"""The rows of the table: how each side is run, and the ratio that must hold."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import access_log, capacity, copies, forecasts, ledger, many_tables
from benchmarks.measure import Cost
from benchmarks.prepared import Bench


@dataclass
class Row:
    """One line of the table: how to run each side once, and the ratio that must hold."""

    name: str
    goal: float | None
    ours: Callable[[], Cost]
    bare: Callable[[], Cost]
    missing: str = ""


def rows(prepared: Bench) -> list[Row]:
    """All rows."""
    return [
        *backup_rows(prepared),
        *table_rows(prepared),
        *capacity_rows(prepared),
        *log_rows(prepared),
        *ledger_rows(prepared.folder),
        *(accuracy_row(kind) for kind in forecasts.KINDS),
    ]


def backup_rows(prepared: Bench) -> list[Row]:
    """Of copies. The restore test and its bare counterpart take the newest backup of this run."""
    dsn = prepared.source.dsn("shop")
    piped = f"pg_dump -Fc -Z0 -d '{dsn}' | zstd -q -f -3 -T2 -o bare.zst"
    no_zstd = "" if shutil.which("zstd") else "no zstd program on PATH; install zstd"
    return [
        Row("backup", 1.25, lambda: prepared.backup("off"), lambda: prepared.bare(piped), no_zstd),
        Row("backup-fingerprint", 1.5, lambda: prepared.backup("content"), lambda: prepared.bare(piped), no_zstd),
        Row(
            "backup-runbook", 0.334, lambda: prepared.backup("content"),
            lambda: prepared.bare(f"pg_dump -Fc -d '{dsn}' -f bare.dump"),
        ),
        Row("restore-test", 1.5, lambda: copies.restore_test(prepared), lambda: copies.bare_restore(prepared)),
        Row("retention-plan", 1.0, copies.plan_retention, lambda: Cost(seconds=5, peak_mb=0)),
    ]  # fmt: skip


def table_rows(prepared: Bench) -> list[Row]:
    """Of databases with many tables."""
    return [
        vacuum_row("vacuum-tables", many_tables.filled(prepared.size_mb), prepared),
        vacuum_row("vacuum-small-tables", many_tables.SMALL, prepared),
        Row("inspect-relations", 1.0, lambda: many_tables.inspect(prepared.source), lambda: Cost(seconds=2, peak_mb=0)),
        Row("capacity-sample", 1.0, lambda: many_tables.sample(prepared.source), lambda: Cost(seconds=3, peak_mb=0)),
    ]  # fmt: skip


def vacuum_row(name: str, worn: many_tables.Worn, prepared: Bench) -> Row:
    """A whole run over 2,000 tables against vacuumdb."""
    return Row(
        name, 1.15, lambda: many_tables.maintain(worn, prepared.source, prepared.repository),
        lambda: many_tables.vacuumdb(worn, prepared.source, prepared.folder, prepared.environment),
    )  # fmt: skip


def capacity_rows(prepared: Bench) -> list[Row]:
    """Of a report from 1,000,000 rows of samples."""
    return [
        # Against the budget of 15 s, and against ten times what a tenth of them takes.
        Row("capacity-report", 1.0, lambda: capacity.report(prepared.folder, 500), lambda: Cost(seconds=15, peak_mb=0)),
        Row(
            "capacity-report-growth", 1.0, lambda: capacity.report(prepared.folder, 500),
            lambda: times(10, capacity.report(prepared.folder, 50)),
        ),
    ]  # fmt: skip


def log_rows(prepared: Bench) -> list[Row]:
    """Of the review of an access log."""
    return [
        # 1,000,000 lines, also in JSON, and three times as many in no more memory; a plain read only counts lines, and
        # parses those in JSON.
        Row(
            "access-log", 10.0, lambda: access_log.review(prepared.folder, 1),
            lambda: access_log.read(prepared.folder),
        ),
        Row(
            "json-access-log", 5.0, lambda: access_log.review_json(prepared.folder),
            lambda: access_log.read(prepared.folder, "access.json"),
        ),
        Row(
            "access-log-growth", 1.15, lambda: access_log.review(prepared.folder, 3),
            lambda: times(3, access_log.review(prepared.folder, 1)),
        ),
    ]  # fmt: skip


def times(number: int, cost: Cost) -> Cost:
    """So many times that cost in seconds."""
    return cost.model_copy(update={"seconds": number * cost.seconds})


def ledger_rows(folder: Path) -> list[Row]:
    """A ledger of 100,000 findings against its budgets of time, and against ten times what a tenth of them takes."""

    def ours(work: str, findings: int = 100_000) -> Callable[[], Cost]:
        return lambda: ledger.measure(work, folder, findings)

    return [
        Row("ledger-fold", 1.0, ours("ledger_fold"), lambda: Cost(seconds=10, peak_mb=0)),
        Row("ledger-fold-growth", 1.25, ours("ledger_fold"), lambda: times(10, ours("ledger_fold", 10_000)())),
        # Four times the scans of the same findings, in the same memory.
        Row(
            "ledger-fold-memory", 1.1, lambda: ledger.peak(folder, 100_000, 4), lambda: ledger.peak(folder, 100_000, 1)
        ),
        Row("ledger-report", 1.0, ours("ledger_report"), lambda: Cost(seconds=30, peak_mb=0)),
    ]


def accuracy_row(kind: str) -> Row:
    """Slope error in percent in the place of ours, in that of bare its budget, else the error of least squares."""
    budget = forecasts.KINDS[kind].budget_pct
    goal, bare = (None, forecasts.least_squares_error(kind)) if budget is None else (1.0, budget)
    return Row(
        f"capacity-accuracy {kind}", goal, lambda: forecasts.accuracy(kind), lambda: Cost(seconds=bare, peak_mb=0)
    )
