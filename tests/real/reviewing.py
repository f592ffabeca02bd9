"""The performance review of the system 'acme', what it said, and work that it has something to say of."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from prefect.client.orchestration import get_client

from flows.performance_review import performance_review
from tasks.postgres.review.report import PerformanceResult

LOOKUP = "SELECT note FROM orders WHERE customer = %s AND note <> 'planted-literal'"


def look_up(session, times):
    for customer in range(times):
        session.execute(LOOKUP, (customer,))


def review(**parameters):
    state = performance_review("acme", return_state=True, **parameters)
    result = state.result(raise_on_failure=False)
    assert isinstance(result, PerformanceResult), result
    return result


def told(result, name):
    return [check for check in result.checks if check.name == name]


def listed(result, name):
    return [row for row in result.rows if row["list"] == name]


def stored(place):
    return {path: path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}


def artifacts():
    with get_client(sync_client=True) as client:
        return [str(artifact.data) for artifact in client.read_artifacts()]


def deadlock(dsn):
    """Two sessions that wait for each other, until the server ends one of them."""
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        for session in (one, other):
            session.execute("SET deadlock_timeout = '50ms'")
        one.execute("UPDATE orders SET customer = 1 WHERE id = 1")
        other.execute("UPDATE orders SET customer = 1 WHERE id = 2")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(one.execute, "UPDATE orders SET customer = 1 WHERE id = 2")
            ended = 0
            for attempt in (lambda: other.execute("UPDATE orders SET customer = 1 WHERE id = 1"), waiting.result):
                try:
                    attempt()
                except psycopg.errors.DeadlockDetected:
                    ended += 1
                    other.rollback()
        assert ended == 1
        one.rollback()
        other.rollback()
