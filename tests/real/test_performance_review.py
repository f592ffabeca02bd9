"""The performance review on a server that counts statements: slow, slower, new; and no literal anywhere."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from tasks.base import stopping
from tasks.base.words import Verdict
from tasks.postgres.review.overtime import HEADER as ACTIVITY_HEADER
from tasks.postgres.review.report import PerformanceResult
from tasks.postgres.review.settings import SETTINGS_HEADER
from tests.real.conftest import write_system
from tests.real.reviewing import artifacts, deadlock, listed, look_up, review, stored, told
from tests.real.servers import own_server
from tests.real.upkeep import holding, vacuum, wait_until

POLICY = {
    "minimum_calls": 5,
    "matters_seconds": 0.001,
    "slower_factor": 2.0,
    "large_table_bytes": 1_000_000,
    "unused_index_bytes": 100_000,
    "partition_bytes": 500_000,
}
SCHEMA = """
CREATE EXTENSION pg_stat_statements;
CREATE TABLE orders (id bigint PRIMARY KEY, customer int, note text);
INSERT INTO orders SELECT n, n %% 5000, md5(n::text) FROM generate_series(1, 60000) n;
CREATE INDEX orders_customer ON orders (customer);
VACUUM ANALYZE orders
"""
# The server counts one only after it told its client that it is done.
FORCED = "SELECT num_requested FROM pg_stat_checkpointer"


@pytest.fixture(scope="module")
def counting():
    """A server of our own with pg_stat_statements: the tests' common one cannot load it without a restart."""
    options = {
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.max": "100",
        "autovacuum": "on",  # as every server has it that is not told otherwise
    }
    with own_server(options) as server:
        yield server


@pytest.fixture
def busy(counting, tmp_path, monkeypatch):
    """The system 'acme' with a database of orders on that server; a session at work in it."""
    stopping.reset()
    folder = tmp_path / "systems"
    folder.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
    with psycopg.connect(counting.dsn("postgres"), autocommit=True) as session:
        session.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        session.execute("CREATE DATABASE shop")
    with psycopg.connect(counting.dsn("shop"), autocommit=True) as session:
        for statement in SCHEMA.replace("%%", "%").split(";"):
            session.execute(statement.encode())
        session.execute("SELECT pg_stat_statements_reset()")
        write_system(folder, counting.dsn("shop"), tmp_path / "repository", "", backup={}, performance=POLICY)
        yield session


def test_what_became_slower_between_two_reviews_is_found_with_its_figures(busy, tmp_path):
    # Of so many the mean stays small, though one of them waits for the machine.
    look_up(busy, 400)
    first = review()
    waits = told(first, "slow queries")[0]
    assert (waits.verdict, "no period to compare with yet" in waits.message) == (Verdict.SKIP, True)
    assert [row["calls"] for row in listed(first, "total") if row["statement"].startswith("SELECT note")] == [400]
    busy.execute("DROP INDEX orders_customer")
    look_up(busy, 30)
    busy.execute("SELECT pg_sleep(0.7)")
    second = review()
    (slower,) = told(second, "regressed statement")
    assert slower.verdict is Verdict.WARN
    assert "over 30 calls: SELECT note FROM orders WHERE customer = $1 AND note <> $2" in slower.message
    with psycopg.connect(busy.info.dsn) as reader:
        plan = [line for (line,) in reader.execute(slower.next_command.encode()).fetchall()]
    assert any("Seq Scan on orders" in line for line in plan)
    (row,) = listed(second, "regressed")
    assert (row["calls"], row["before_calls"]) == (30, 400)
    assert row["mean_ms"] > 2 * row["before_mean_ms"]
    (advice,) = told(second, "index advice")
    assert advice.next_command == "CREATE INDEX CONCURRENTLY ON public.orders (customer)"
    assert "30 calls of postgres read" in advice.message
    (slow,) = [row for row in listed(second, "total") if row["statement"] == "SELECT pg_sleep($1)"]
    assert slow["total_ms"] >= 700
    assert any("SELECT pg_sleep($1)" in check.message for check in told(second, "new statement"))
    (report,) = (tmp_path / "repository/acme/reports/performance_review").glob(f"*-{second.run_id}")
    headers = {"report": PerformanceResult.csv_header, "settings": SETTINGS_HEADER, "activity": ACTIVITY_HEADER}
    for name, header in headers.items():
        assert tuple(next(csv.reader(io.StringIO((report / f"{name}.csv").read_text())))) == header
    pictures = {path.stem for path in report.glob("*.png")}
    assert pictures == {"shop-statements-total", "shop-statements-mean", "shop-statements-slower"}
    assert (report / "report.html").read_text().count("data:image/png;base64,") == len(pictures)


def test_no_literal_of_a_statement_is_kept_or_shown_anywhere(busy, tmp_path, caplog):
    busy.execute("CREATE ROLE planted LOGIN PASSWORD 'planted-password'")
    busy.execute("ALTER ROLE planted PASSWORD 'planted-password' VALID UNTIL '2031-03-07'")
    busy.execute("DO $body$ BEGIN PERFORM 'planted-body'; PERFORM pg_sleep(0.2); END $body$ -- planted-comment")
    look_up(busy, 10)
    results = [review(), review()]
    busy.execute("DROP ROLE planted")
    files = stored(tmp_path / "repository")
    assert any("history/statements" in str(path) for path in files)
    assert any(row["statement"].startswith("ALTER ROLE planted PASSWORD ?") for row in results[0].rows)
    seen = [caplog.text, *(result.model_dump_json() for result in results), *artifacts()]
    everything = b"\n".join([*files.values(), *(text.encode() for text in seen)])
    assert b"ALTER ROLE planted" in everything
    for secret in ("password", "body", "comment", "literal"):
        assert f"planted-{secret}".encode() not in everything


def test_a_reset_between_two_reviews_is_told_and_does_not_mislead(busy):
    look_up(busy, 50)
    review()
    busy.execute("SELECT pg_stat_statements_reset()")
    look_up(busy, 7)
    result = review()
    assert any("counters were reset at" in check.message for check in result.checks)
    assert [row["calls"] for row in listed(result, "total") if row["statement"].startswith("SELECT note")] == [7]


def test_what_the_server_threw_out_is_told_and_never_counted_negative(busy):
    look_up(busy, 50)
    review()
    for number in range(150):
        busy.execute(f"SELECT {', '.join(['1'] * (number + 1))}".encode())
    look_up(busy, 3)
    result = review()
    assert any("threw out statements" in check.message for check in result.checks)
    assert all(row["calls"] > 0 and row["total_ms"] >= 0 for row in result.rows)


@pytest.mark.parametrize(
    ("lacking", "command"),
    [
        ("DROP EXTENSION pg_stat_statements", "CREATE EXTENSION pg_stat_statements"),
        ("SELECT 1", "GRANT pg_read_all_stats TO plain"),
    ],
)
def test_what_is_missing_is_a_skip_with_the_statement_that_mends_it(busy, counting, tmp_path, lacking, command):
    busy.execute("DROP ROLE IF EXISTS plain")
    busy.execute("CREATE ROLE plain LOGIN")
    busy.execute(lacking)
    dsn = psycopg.conninfo.make_conninfo(counting.dsn("shop"), user="plain")
    write_system(tmp_path / "systems", dsn, tmp_path / "repository", "", backup={})
    skipped = told(review(), "slow queries")
    assert [(check.verdict, check.next_command) for check in skipped] == [(Verdict.SKIP, command)]
    busy.execute("DROP ROLE plain")


def test_an_index_without_a_scan_in_stored_reviews_of_36_days_is_unused(busy, tmp_path):
    busy.execute("CREATE INDEX orders_note ON orders (note)")
    look_up(busy, 3)
    busy.execute("SELECT pg_stat_force_next_flush()")
    first = review()
    (unknown,) = told(first, "unused indexes")
    assert unknown.verdict is Verdict.SKIP
    assert f"known on {first.started_at + timedelta(days=35):%Y-%m-%d}" in unknown.message
    # The review of 36 days ago, as it would have been written then.
    (stored_usage,) = (tmp_path / "repository/acme/history/index-usage").rglob("*.jsonl")
    row, then = json.loads(stored_usage.read_text()), first.started_at - timedelta(days=36)
    row |= {"run_id": "old", "taken_at": then.isoformat()}
    folder = tmp_path / f"repository/acme/history/index-usage/{then:%Y/%m/%d}"
    folder.mkdir(parents=True)
    (folder / f"{then:%Y%m%dT%H%M%SZ}-old.jsonl").write_text(json.dumps(row) + "\n")
    look_up(busy, 3)
    busy.execute("SELECT pg_stat_force_next_flush()")
    result = review()
    found = told(result, "unused index")
    assert [(check.target, check.next_command) for check in found] == [
        ("shop public.orders_note", "DROP INDEX CONCURRENTLY public.orders_note")
    ]
    assert "CREATE INDEX orders_note ON public.orders USING btree (note)" in found[0].message
    busy.execute("DROP INDEX orders_note")


def test_settings_and_what_the_server_counted_are_told_with_reason_and_command(busy, counting, tmp_path):
    review()
    review()
    with pytest.raises(psycopg.errors.DivisionByZero):
        busy.execute("SELECT 1/0")
    busy.execute("SET work_mem = '64kB'")
    busy.execute("SELECT count(*) FROM (SELECT note FROM orders ORDER BY note OFFSET 10) AS sorted")
    deadlock(counting.dsn("shop"))
    wait_until(lambda: busy.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = 'shop'").fetchone()[0])
    (before,) = busy.execute(FORCED).fetchone()
    for _ in range(6):
        busy.execute("INSERT INTO orders SELECT max(id) + 1, 1, 'x' FROM orders")
        busy.execute("CHECKPOINT")
    wait_until(lambda: busy.execute(FORCED).fetchone()[0] == before + 6)
    busy.execute("SELECT pg_stat_force_next_flush()")
    result = review()
    by_target = {check.target: check for check in told(result, "setting")}
    assert by_target["shop fsync"].verdict is Verdict.WARN
    assert by_target["shop fsync"].next_command == "ALTER SYSTEM SET fsync = 'on'"
    assert "(manual 19.5.1)" in by_target["shop fsync"].message
    assert "shop autovacuum" not in by_target
    verdicts = {check.name: check.verdict for check in result.checks}
    assert (verdicts["deadlocks"], verdicts["checkpoints"]) == (Verdict.WARN, Verdict.WARN)
    (temporary,) = told(result, "temporary files")
    assert not temporary.message.startswith("0 temporary files")
    (connections,) = told(result, "connections")
    assert connections.unit == "share"
    assert 0 < connections.value < 1
    (checkpoints,) = told(result, "checkpoints")
    assert checkpoints.next_command == "ALTER SYSTEM SET max_wal_size = '2048MB'"
    (report,) = (tmp_path / "repository/acme/reports/performance_review").glob(f"*-{result.run_id}")
    rows = list(csv.DictReader(io.StringIO((report / "activity.csv").read_text())))
    assert [(row["deadlocks"], row["checkpoints_forced"]) for row in rows] == [("0", "0"), ("1", "6")]
    drawn = ("cache-hit", "checkpoints", "connections", "temporary-files")
    assert {f"shop-{name}" for name in drawn} <= {path.stem for path in report.glob("*.png")}


def test_a_very_large_table_that_grows_and_shrinks_by_time_is_advised_to_be_partitioned_with_the_evidence(busy):
    busy.execute("SET TimeZone = 'UTC'")
    for name, moment, order in (("log", "at", "n"), ("shuffled", '"At"', "md5(n::text)")):
        busy.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, {moment} timestamptz, note text)")
        busy.execute(
            f"INSERT INTO {name} SELECT n, timestamptz '2026-01-01' + n * interval '1 hour', repeat('x', 100) "
            f"FROM generate_series(1, 8000) n ORDER BY {order}"
        )
    for day in ("2026-01-03", "2026-01-05"):
        busy.execute("DELETE FROM log WHERE at < %s::timestamptz", (day,))
    vacuum(busy, "log", "shuffled")
    found = {check.target: check for check in told(review(), "partition advice")}
    advised = found["shop public.log"]
    assert advised.next_command == (
        "CREATE TABLE public.log_by_at (LIKE public.log INCLUDING DEFAULTS) PARTITION BY RANGE (at)"
    )
    for part in (
        "partitions by at would let old rows go by DROP TABLE", "(correlation 1.00), from 2026-01-05 to 2026-11-30",
        "8000 rows came, 0 were changed and 95 deleted", "2 calls of DELETE … WHERE at < … removed 95 rows",
        "PRIMARY KEY (id) would have to contain at",
    ):  # fmt: skip
        assert part in advised.message, advised.message
    busy.execute(advised.next_command.encode())
    assert "not advised: 8000 rows came" in found["shop public.shuffled"].message
    assert found["shop public.shuffled"].next_command == ""
    assert "it has no column of a date or moment" in found["shop public.orders"].message
    busy.execute("DELETE FROM pg_statistic WHERE starelid = 'log'::regclass")
    (unknown,) = [check for check in told(review(), "partition advice") if check.target == "shop public.log"]
    assert (unknown.verdict, unknown.next_command.startswith("ANALYZE public.log")) == (Verdict.SKIP, True)


def test_who_waits_for_whose_lock_is_told_without_literals_and_remembered(busy, counting, tmp_path):
    (nobody,) = told(review(), "lock waits")
    assert nobody.verdict is Verdict.INFO
    assert " did at " not in nobody.message
    assert nobody.message.startswith("no session waits for a lock now; a look at")
    locked = holding(counting.dsn("shop"), "LOCK TABLE orders", application_name="holder")
    with locked as holder, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(busy.execute, "UPDATE orders SET note = 'planted-literal' WHERE id = 1")
        with psycopg.connect(counting.dsn("shop"), autocommit=True) as looker:
            wait_until(lambda: looker.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
        result = review()
        blocker = holder.info.backend_pid
        holder.rollback()
        waiting.result()
    (wait,) = told(result, "lock waits")
    said = f"for RowExclusiveLock on public.orders behind session {blocker} of postgres (holder, idle in tr"
    assert said in wait.message
    assert "at most 0 did at 1 reviews since" in wait.message
    assert wait.next_command == "nightshift run query_termination system=acme database=shop minutes=0.083"
    files = stored(tmp_path / "repository")
    (waits,) = [text.decode() for path, text in files.items() if path.name == "lock_waits.csv"]
    assert "UPDATE orders SET note = ? WHERE id = ?" in waits
    assert b"planted-literal" not in b"".join([*files.values(), result.model_dump_json().encode()])
    (after,) = told(review(), "lock waits")
    assert "at most 1 did at 2 reviews since" in after.message


def test_a_server_that_did_not_load_the_extension_is_a_skip_with_what_to_do(system, shop):
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute("CREATE EXTENSION pg_stat_statements")
    (skipped,) = told(review(), "slow queries")
    assert skipped.verdict is Verdict.SKIP
    assert "did not load pg_stat_statements" in skipped.message
