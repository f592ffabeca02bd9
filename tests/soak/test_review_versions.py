"""The performance review on PostgreSQL 15 to 18: every statement of every version, and a standby that is really one."""

import psycopg
import pytest

from flows.performance_review import performance_review
from tasks.base.words import Verdict
from tests.real.conftest import change_system
from tests.real.servers import standby_of
from tests.real.upkeep import wait_until
from tests.soak.test_versions import source

__all__ = ["source"]
POLICY = {"minimum_calls": 5, "matters_seconds": 0.001, "large_table_bytes": 500_000, "unused_index_bytes": 10_000}


@pytest.fixture
def standby(source):
    """A standby that streams from the source."""
    with standby_of(source) as follower:
        yield follower


def told(result, name):
    return [check for check in result.checks if check.name == name]


def wear(session):
    session.execute("CREATE TABLE purchases AS SELECT n AS id, n % 5000 AS customer FROM generate_series(1, 60000) n")
    session.execute("CREATE INDEX purchases_customer ON purchases (customer)")
    session.execute("VACUUM ANALYZE purchases")


def look_up(session, times):
    for customer in range(times):
        session.execute("SELECT id FROM purchases WHERE customer = %s", (customer,))


@pytest.mark.parametrize("source", [15, 16, 17, 18], indirect=True)
def test_a_dropped_index_and_its_slower_statement_are_found_on_this_version(source, standby):
    has_statements = "pg_stat_statements" in available(source)
    if has_statements:
        with psycopg.connect(source.dsn("shop"), autocommit=True) as session:
            session.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
            session.execute("CREATE EXTENSION pg_stat_statements")
        source.stop()
        source.start()
    change_system(performance=POLICY)
    with psycopg.connect(source.dsn("shop"), autocommit=True) as session:
        wear(session)
        # Of so many the mean stays small, though one of them waits for the machine.
        look_up(session, 200)
        wait_for_standby(session)
        first = performance_review("acme")
        (unknown,) = told(first, "unused indexes")
        assert "1 standbys stream from the primary and 0 are configured" in unknown.message
        replica = standby.dsn("shop")
        change_system(databases=[{"name": "shop", "dsn": source.dsn("shop"), "standbys": [replica]}])
        session.execute("DROP INDEX purchases_customer")
        look_up(session, 20)
    second = performance_review("acme")
    (unknown,) = told(second, "unused indexes")
    assert "it is not known yet" in unknown.message
    assert {"cache hit", "checkpoints", "deadlocks", "connections"} <= {check.name for check in second.checks}
    assert "shop fsync" in {check.target for check in told(second, "setting")}
    if not has_statements:
        (skipped,) = told(second, "slow queries")
        assert skipped.verdict is Verdict.SKIP
        return
    (slower,) = told(second, "regressed statement")
    assert "SELECT id FROM purchases WHERE customer = $1" in slower.message
    (advice,) = told(second, "index advice")
    assert advice.next_command == "CREATE INDEX CONCURRENTLY ON public.purchases (customer)"


def wait_for_standby(session):
    """It comes back by itself some seconds after its primary did."""
    streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    wait_until(lambda: session.execute(streaming).fetchone() == (1,))


def available(server):
    with psycopg.connect(server.dsn("postgres")) as session:
        return {name for (name,) in session.execute("SELECT name FROM pg_available_extensions").fetchall()}
