"""Reading PostgreSQL's logs: every record once, broken ones counted and named, no literal gets out."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.logs import LogPolicy
from tasks.logs.plans import query_and_plan
from tasks.logs.records import Broken, LogRecord, read
from tasks.logs.review import review_logs
from tasks.logs.slow_statements import grouped_text, slow_statements

SINCE, UNTIL = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
TEXT_PLAN = """Query Text: SELECT * FROM t
  WHERE a = 'planted
  Seq Scan (cost=1 planted' AND b = 424242
Query Parameters: $1 = 'planted'
Limit  (cost=0.00..8.44 rows=1 width=4) (actual time=0.011..0.012 rows=1.00 loops=1)
  Buffers: shared hit=3
  ->  Seq Scan on t1 t  (cost=0.00..8.44 rows=17 width=4)
  ->  Custom Scan (Shard 424242)  (cost=0.00..1.00 rows=1 width=4)
        Filter: ((a = 'planted
  x'::text) AND (b = 424242))
        Rows Removed by Filter: 99"""


def row(message, at="2026-11-21 02:00:00.123 UTC", database="shop"):
    return [at, "app", database, "77", "127.0.0.1:5", "65a.1", "3", "SELECT", at, "3/4", "0", "LOG", "00000", message,
            "", "", "", "", "", "", "", "", "psql", "client backend", "", "0"]  # fmt: skip


def as_csv(*rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def records_of(tmp_path, text, name="postgresql.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(path, "UTC"))


def reading_of(tmp_path, *messages):
    (tmp_path / "a.csv").write_text(as_csv(*map(row, messages)))
    return slow_statements(LogPolicy(postgres=(f"{tmp_path}/*.csv*",)), SINCE, UNTIL)


MESSAGES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r")).filter(lambda text: "\x85" not in text),
    max_size=6,
)


@given(MESSAGES)
def test_every_message_is_read_as_it_was_written(tmp_path_factory, messages):
    found = records_of(tmp_path_factory.mktemp("log"), as_csv(*map(row, messages)))
    assert [one.message for one in found] == messages


@given(st.lists(st.sampled_from(['say "it"', "two\nlines", "plain,"]), min_size=3, max_size=6), st.data())
def test_a_log_cut_anywhere_loses_no_other_record(tmp_path_factory, messages, data):
    whole = [as_csv(row(message)) for message in messages]
    victim = data.draw(st.integers(0, len(whole) - 2))
    cut = data.draw(st.integers(60, len(whole[victim]) - 2))
    text = "".join([*whole[:victim], whole[victim][:cut] + "\n", *whole[victim + 1 :]])
    found = records_of(tmp_path_factory.mktemp("log"), text)
    kept = [one.message for one in found if isinstance(one, LogRecord)]
    rest = messages[:victim] + messages[victim + 1 :]
    assert [one for one in kept if one in rest][-len(messages[victim + 1 :]) :] == messages[victim + 1 :]
    assert len(kept) >= len(rest)


def test_a_broken_line_is_named_and_one_that_is_being_written_is_no_error(tmp_path):
    text = as_csv(row("one")) + "garbage\n" + as_csv(row("two", at="2026-11-21 02:00:00.1 CET")) + as_csv(row("3"))[:-9]
    first, broken, zone = records_of(tmp_path, text)
    assert first.message == "one"
    assert broken == Broken(place=f"{tmp_path}/postgresql.csv:2", reason="it has 1 columns, csvlog has 23 or more")
    assert zone.reason == "its time is none of UTC; see logs.timezone"


def test_jsonlog_and_compressed_files_are_read_and_damage_is_told(tmp_path):
    line = json.dumps({"timestamp": "2026-11-21 02:00:00.123 UTC", "dbname": "shop", "message": "m"}) + "\n"
    one, broken = records_of(tmp_path, line + '{"timestamp": 5\n' + line[:20], "postgresql.json")
    assert (one.database, one.message) == ("shop", "m")
    assert broken.reason == "it is no jsonlog record"
    packed = gzip.compress((line * 1000).encode())
    assert len(records_of(tmp_path, packed, "a.json.gz")) == 1000
    assert "cut or damaged" in records_of(tmp_path, packed[:-20], "b.json.gz")[-1].reason


def test_a_log_that_is_packed_at_this_moment_is_counted_once(tmp_path):
    text = as_csv(row("duration: 200.0 ms  statement: SELECT 1"))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode())[:-5])
    found = reading_of(tmp_path, "duration: 200.0 ms  statement: SELECT 1")
    assert ([one.calls for one in found.statements], found.broken) == ([1], 0)


def test_both_hours_of_a_clock_change_are_told_apart(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(as_csv(*(row("x", at=f"2026-10-25 02:30:00.000 {name}") for name in ("CEST", "CET", "MST"))))
    summer, winter, strange = read(path, "Europe/Berlin")
    assert (winter.at - summer.at).total_seconds() == 3600
    assert isinstance(strange, Broken)


def test_executions_are_grouped_by_text_and_told_once_whatever_else_is_logged_of_them(tmp_path):
    found = reading_of(
        tmp_path,
        "duration: 10.5 ms  parse <unnamed>: SELECT 1 FROM t WHERE a IN ('planted', 'b')",
        "duration: 200.0 ms  execute <unnamed>: SELECT 1 FROM t WHERE a IN ('x')",
        "duration: 100.0 ms  statement: SELECT 1 FROM t WHERE a IN ('x')",
        "Dauer: 300.0 ms  Anweisung: SELECT 2 FROM u",
        "duration: 5.0 ms",
        "connection authorized: user=app",
        f"duration: 99.0 ms  plan:\n{TEXT_PLAN}",
    )
    assert [(one.calls, one.total_ms, one.statement) for one in found.statements] == [
        (2, 300.0, "SELECT ? FROM t WHERE a IN (?)"),
        (1, 300.0, "SELECT ? FROM u"),
        (1, 99.0, "SELECT * FROM t WHERE a = ? AND b = ?"),
        (1, 10.5, "SELECT ? FROM t WHERE a IN (?, …)"),
    ]
    assert found.records == 7
    assert "planted" not in found.model_dump_json()


def test_statements_with_longer_lists_are_the_same_statement():
    rows = [f"INSERT INTO t VALUES {', '.join(['(1, 2)'] * n)}" for n in (2, 3, 50)]
    assert {grouped_text(one) for one in rows} == {"INSERT INTO t VALUES (?, …), …"}


def test_a_text_plan_keeps_its_figures_and_loses_the_data_in_its_conditions():
    query, plan = query_and_plan(TEXT_PLAN)
    assert query == "SELECT * FROM t\n  WHERE a = ? AND b = 424242"
    assert "planted" not in plan
    assert "424242" not in plan
    for kept in ("(cost=0.00..8.44 rows=17 width=4)", "actual time=0.011..0.012", "shared hit=3", "Filter: 99", "t1 t"):
        assert kept in plan


def test_a_json_plan_keeps_its_figures_and_loses_the_data_in_its_conditions():
    logged = {
        "Query Text": "SELECT 'planted'",
        "Query Parameters": "$1 = 'planted'",
        "Plan": {"Node Type": "Seq Scan", "Plan Rows": 17, "Filter": "(a = 'planted'::text) AND (b = 424242)"},
    }
    query, plan = query_and_plan(json.dumps(logged))
    assert query == "SELECT 'planted'"
    assert json.loads(plan) == {"Node Type": "Seq Scan", "Plan Rows": 17, "Filter": "(a = ?::text) AND (b = ?)"}
    assert query_and_plan(json.dumps(logged)[:-3]) is None
    assert query_and_plan("<explain/>") is None


def test_what_cannot_be_read_is_a_skip_that_says_what_to_do():
    (check,) = review_logs(LogPolicy(postgres=("/nonexistent/*.csv",)), "acme", 7, 5).checks
    assert check.verdict == "SKIP"
    assert check.next_command
    assert "no file of /nonexistent/*.csv was" in check.message


def test_logs_that_nobody_named_are_not_asked():
    (check,) = review_logs(LogPolicy(), "acme", 7, 5).checks
    assert check.verdict == "INFO"
    assert "set logs.postgres" in check.message


def test_waits_for_locks_are_counted_by_what_they_waited_for_and_the_longest_is_told(tmp_path):
    waits = [
        "process 71 still waiting for ShareLock on transaction 745 after 1000.088 ms",
        "process 71 acquired ShareLock on transaction 745 after 6500.5 ms",
        "process 72 still waiting for ShareLock on transaction 746 after 1000.1 ms",
        "process 73 acquired ExclusiveLock on tuple (0,7) of relation 16390 of database 5 after 2000.0 ms",
        "duration: 12.5 ms  statement: SELECT 'process 74 still waiting for ShareLock on transaction 1 after 9.0 ms'",
    ]
    now = datetime.now(UTC) - timedelta(seconds=2)
    (tmp_path / "a.csv").write_text(as_csv(*(row(text, f"{now:%Y-%m-%d %H:%M:%S}.123 UTC") for text in waits)))
    part = review_logs(LogPolicy(postgres=(f"{tmp_path}/*.csv",)), "acme", 7, 5)
    (table,) = [one for one in part.attachments if one.name == "logged_lock_waits"]
    assert [tuple(one.values()) for one in table.rows] == [
        ("shop", "ShareLock", "a transaction", 2, 1, 6500.5, 6500.5),
        ("shop", "ExclusiveLock", "a row of relation 16390 of database 5", 1, 1, 2000.0, 2000.0),
    ]
    (check,) = [check for check in part.checks if check.name == "lock waits in the logs"]
    assert (check.target, check.verdict, check.value) == ("shop", "WARN", 6.5005)
    assert check.message.startswith("3 waits for locks since ")
    (kept,) = review_logs(LogPolicy(postgres=(f"{tmp_path}/*.csv",)), "acme", 7, 60).checks[-1:]
    assert kept.verdict == "INFO"


def test_a_log_without_waits_says_under_which_setting_it_would_have_them(tmp_path):
    (tmp_path / "a.csv").write_text(as_csv(row("connection received")))
    check = review_logs(LogPolicy(postgres=(f"{tmp_path}/*.csv",)), "acme", 7, 5).checks[-1]
    assert check.verdict == "INFO"
    assert "no wait for a lock in 1 records" in check.message
    assert "log_lock_waits = on" in check.next_command
