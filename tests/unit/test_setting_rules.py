"""Settings that do not fit, each with its reason and the rule's source; what fits, or is unknown, is left alone."""

import pytest

from tasks.base.words import Verdict
from tasks.postgres.review.rules import judge
from tasks.postgres.review.settings import Machine, Settings, part

GIB, MIB = 1024**3, 1024**2
MACHINE = Machine(memory_bytes=16 * GIB, solid_state=True, database_bytes=200 * GIB, largest_table_rows=50_000_000)
FITTING = {
    "autovacuum": "on", "autovacuum_max_workers": "3", "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_work_mem": "-1", "checkpoint_completion_target": "0.9", "data_checksums": "on",
    "effective_cache_size": str(11 * GIB), "fsync": "on", "full_page_writes": "on", "hash_mem_multiplier": "2",
    "idle_in_transaction_session_timeout": "600000", "ignore_checksum_failure": "off", "log_lock_waits": "on",
    "log_min_duration_statement": "1000", "maintenance_work_mem": str(GIB), "max_connections": "100",
    "pg_stat_statements.track": "top", "random_page_cost": "1.1", "shared_buffers": str(4 * GIB),
    "synchronous_commit": "on", "track_activities": "on", "track_counts": "on", "track_io_timing": "on",
    "work_mem": str(16 * MIB), "zero_damaged_pages": "off",
}  # fmt: skip


def told(machine=MACHINE, waiting=(), **changes):
    return judge(Settings(values=FITTING | changes, waiting=waiting), machine)


def test_settings_that_fit_the_machine_are_left_alone():
    assert told() == ()
    checks = part("shop", Settings(values=FITTING), MACHINE, ()).checks
    assert [(check.verdict, check.message) for check in checks] == [
        (Verdict.OK, "25 of 25 settings looked at give no reason to change them")
    ]


@pytest.mark.parametrize(
    ("changes", "verdict", "command"),
    [
        ({"fsync": "off"}, "WARN", "ALTER SYSTEM SET fsync = 'on'"),
        ({"full_page_writes": "off"}, "WARN", "ALTER SYSTEM SET full_page_writes = 'on'"),
        ({"autovacuum": "off"}, "WARN", "ALTER SYSTEM SET autovacuum = 'on'"),
        ({"zero_damaged_pages": "on"}, "WARN", "ALTER SYSTEM SET zero_damaged_pages = 'off'"),
        ({"pg_stat_statements.track": "none"}, "WARN", "ALTER SYSTEM SET pg_stat_statements.track = 'top'"),
        ({"data_checksums": "off"}, "INFO", "pg_checksums --enable --progress, while the server is stopped"),
        ({"shared_buffers": str(128 * MIB)}, "INFO", "ALTER SYSTEM SET shared_buffers = '4096MB'"),
        ({"shared_buffers": str(8 * GIB)}, "WARN", "ALTER SYSTEM SET shared_buffers = '4096MB'"),
        ({"effective_cache_size": str(4 * GIB)}, "INFO", "ALTER SYSTEM SET effective_cache_size = '11468MB'"),
        ({"effective_cache_size": str(40 * GIB)}, "INFO", "ALTER SYSTEM SET effective_cache_size = '11468MB'"),
        (
            {"work_mem": str(256 * MIB)},
            "WARN",
            "ALTER SYSTEM SET work_mem = '40MB' -- or lower max_connections, behind a pooler",
        ),
        ({"maintenance_work_mem": str(64 * MIB)}, "INFO", "ALTER SYSTEM SET maintenance_work_mem = '1024MB'"),
        ({"autovacuum_work_mem": str(2 * GIB)}, "WARN", "ALTER SYSTEM SET autovacuum_work_mem = '1365MB'"),
        ({"random_page_cost": "4"}, "INFO", "ALTER SYSTEM SET random_page_cost = '1.1'"),
        ({"autovacuum_vacuum_scale_factor": "0.2"}, "INFO", "ALTER SYSTEM SET autovacuum_vacuum_scale_factor = '0.02'"),
        ({"checkpoint_completion_target": "0.5"}, "INFO", "ALTER SYSTEM SET checkpoint_completion_target = '0.9'"),
        ({"log_min_duration_statement": "-1"}, "INFO", "ALTER SYSTEM SET log_min_duration_statement = '1s'"),
        (
            {"idle_in_transaction_session_timeout": "0"},
            "INFO",
            "ALTER SYSTEM SET idle_in_transaction_session_timeout = '10min'",
        ),
    ],
)
def test_a_setting_that_does_not_fit_is_told_alone_with_the_command(changes, verdict, command):
    (found,) = told(**changes)
    assert (found.verdict, found.command) == (verdict, command)
    assert found.reason
    assert found.source


def test_what_waits_for_a_restart_is_told():
    (found,) = told(waiting=("shared_buffers",))
    assert (found.setting, found.verdict) == ("shared_buffers", Verdict.WARN)


def test_small_data_and_an_unknown_machine_give_no_advice_that_needs_them():
    small = Machine(memory_bytes=16 * GIB, solid_state=False, database_bytes=20 * MIB, largest_table_rows=100)
    small_values = {"shared_buffers": str(128 * MIB), "effective_cache_size": str(4 * GIB), "random_page_cost": "4"}
    assert told(small, **small_values) == ()
    unknown = MACHINE.model_copy(update={"memory_bytes": None, "solid_state": None})
    assert told(unknown, work_mem=str(64 * GIB), **small_values) == ()
    skipped = part("shop", Settings(values=FITTING), unknown, ()).checks[0]
    assert skipped.verdict is Verdict.SKIP
    assert "performance.memory_bytes and performance.solid_state" in skipped.message


def test_what_the_server_did_not_say_is_not_judged():
    assert judge(Settings(values={}), MACHINE) == ()
