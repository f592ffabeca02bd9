"""Maintenance on PostgreSQL 15 to 18: all its work, a window that ends in the middle, and a clean second run."""

import psycopg
import pytest

from flows.query_termination import query_termination
from tasks.base.words import Verdict
from tasks.postgres.names import quoted
from tests.real.conftest import change_system
from tests.real.upkeep import SMALL, holding, host_clock, left, maintain, make_worn, meanwhile, size
from tests.soak.test_versions import source

__all__ = ["host_clock", "source"]
pytestmark = pytest.mark.filterwarnings("ignore:Logger 'nightshift")
VERSIONS = pytest.mark.parametrize("source", [15, 16, 17, 18], indirect=True)
MEASURING = pytest.mark.parametrize("source", [15, 17, 18], indirect=True)
# 3,000 transactions of 200 million: on a young server too there is something to freeze.
OLD = {**SMALL, "freeze_age_share": 0.00001, "connections": 2}


@pytest.fixture
def worn(source):
    """A session in the database: worn tables, a partitioned and an inherited one, a leftover, and transactions gone."""
    with psycopg.connect(source.dsn("shop"), autocommit=True) as session:
        # The wheel of 16 has none.
        if session.info.server_version // 10000 != 16:
            session.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        make_worn(session, "worn")
        make_worn(session, "large", dead=True, fillfactor=10)
        session.execute("CREATE TABLE below () INHERITS (large)")
        session.execute("CREATE TABLE parted (id int, word text) PARTITION BY RANGE (id)")
        session.execute("CREATE TABLE leaf PARTITION OF parted DEFAULT WITH (autovacuum_enabled = off)")
        session.execute("CREATE INDEX parted_word ON parted (word)")
        session.execute("INSERT INTO parted SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
        session.execute("DELETE FROM parted WHERE id % 5 <> 0")
        session.execute("DO $$ BEGIN FOR n IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
        session.execute("SELECT pg_stat_force_next_flush()")
        with holding(source.dsn("shop")):
            session.execute("SET lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                session.execute("REINDEX INDEX CONCURRENTLY worn_word")
            session.execute("RESET lock_timeout")
        assert left(session) == ["worn_word_ccnew"]
        yield session


@VERSIONS
def test_all_its_work_is_done_on_this_version_and_a_second_run_finds_it_done(worn, source):
    change_system(maintenance=OLD)
    measures = worn.info.server_version // 10000 != 16
    checks, rows = maintain()
    assert {row["verdict"] for row in rows.values()} <= {"OK", "INFO"}, rows
    assert rows["drop leftover worn_word_ccnew"]["verdict"] == "OK"
    for name in ("worn", "large", "below", "leaf"):
        assert rows[f"freeze {name}"]["verdict"] == "OK", name
        ((age,),) = worn.execute("SELECT age(relfrozenxid) FROM pg_class WHERE oid = %s::regclass", (name,)).fetchall()
        assert age < 1000
    assert "16000 dead rows before, 0 after" in rows["freeze large"]["message"]
    assert rows["analyze parted"]["verdict"] == "OK"
    missing = [check for check in checks if "CREATE EXTENSION pgstattuple" in check.message]
    assert bool(missing) is not measures
    assert all(check.verdict is Verdict.SKIP for check in missing)
    if measures:
        for name in ("worn_word", "worn_pkey", "large_word", "leaf_word_idx"):
            assert "bytes before" in rows[f"reindex {name}"]["message"], rows
            built = size(worn, name)
            worn.execute(f"REINDEX INDEX {name}")
            assert built <= 1.1 * size(worn, name)
    else:
        assert not any(name.startswith("reindex") for name in rows)
    assert left(worn) == []
    change_system(maintenance={"freeze_age_share": 0.5})
    _, again = maintain()
    assert again == {}


@MEASURING
def test_the_windows_end_in_a_rebuild_leaves_nothing_on_this_version(worn, source, host_clock):
    change_system(maintenance=SMALL)
    with holding(source.dsn("shop")), meanwhile(source.dsn("shop"), "REINDEX%", lambda _: host_clock.forward(hours=1)):
        _, rows = maintain()
    cancelled = [row for row in rows.values() if row["message"].startswith("cancelled: the window closed at")]
    assert [row["action"] for row in cancelled] == ["reindex"]
    assert left(worn) == []


@VERSIONS
def test_long_statements_are_listed_and_names_quoted_as_this_version_does_it(source):
    with holding(source.dsn("shop"), "SELECT pg_sleep(0.5)") as idle:
        # A word that only a newer version keeps for itself is quoted too.
        own = "SELECT word FROM pg_get_keywords() WHERE quote_ident(word) <> word"
        assert [word for (word,) in idle.execute(own).fetchall() if quoted(word) == word] == []
        result = query_termination("acme", minutes=0.005, asked_by="maria")
        assert f"shop session {idle.info.backend_pid}" in [check.target for check in result.checks]
