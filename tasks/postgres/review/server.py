"""The part of a review that the server's own counters answer: snapshots are taken and kept first, then compared."""

from tasks.base.performance import Part, PerformancePolicy
from tasks.base.system import Database, System
from tasks.base.words import CheckResult
from tasks.postgres.fingerprint.session import reader
from tasks.postgres.review import snapshots, statements
from tasks.postgres.review.ranking import Statements
from tasks.repository.store import Store

STATEMENTS = "statements"


def review_server(store: Store, system: System, database: Database, run_id: str, days: float) -> Part:
    """Everything that one database's server says. Raises UnreachableError, RefusedError, IncompleteError."""
    primary = database if database.lock_dsn is None else database.model_copy(update={"dsn": database.lock_dsn})
    with reader(primary, None, f"nightshift:review:{run_id}") as session:
        taken = statements.take(session, database.name, run_id)
    return Part.joined([_statements(store, system.name, taken, system.performance, days)])


def _statements(
    store: Store, system: str, taken: snapshots.Snapshot | CheckResult, policy: PerformancePolicy, days: float
) -> Part:
    if isinstance(taken, CheckResult):
        return Part(checks=(taken,))
    snapshots.keep(store, system, STATEMENTS, taken)
    # The period, the one before it, and half of one, as runs do not come to the minute.
    history = snapshots.former(store, system, STATEMENTS, taken, 2.5 * days)
    return Statements(taken, history, policy, days).part()
