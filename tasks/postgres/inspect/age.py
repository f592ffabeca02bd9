"""How old the oldest rows that are not frozen are: what ends in a database that takes no more writes."""

from collections.abc import Sequence

from tasks.base.words import CheckResult, Verdict
from tasks.postgres.inspect.relations import Table

# Past these a failsafe vacuum nears (vacuum_failsafe_age is 1.6 billion) and the stop at 2.1 billion is in sight.
_HIGH_AGE, _CRITICAL_AGE = 500_000_000, 1_200_000_000


def age_check(database: str, tables: Sequence[Table]) -> list[CheckResult]:
    """The oldest table, by transactions or multixacts; nothing while none is past what autovacuum keeps to."""
    oldest = max(tables, key=lambda table: table.freeze_share, default=None)
    if oldest is None or (oldest.freeze_share < 1 and max(oldest.xid_age, oldest.multixact_age) < _HIGH_AGE):
        return []
    age = max(oldest.xid_age, oldest.multixact_age)
    said = "critical" if age >= _CRITICAL_AGE else "high" if age >= _HIGH_AGE else "past autovacuum_freeze_max_age"
    return [
        CheckResult(
            name="freeze age",
            target=f"{database} {oldest.label}",
            verdict=Verdict.FAIL if age >= _CRITICAL_AGE else Verdict.WARN,
            message=f"{oldest.xid_age} transactions and {oldest.multixact_age} multixacts old, which is {said}; "
            "look at what holds back vacuum",
            value=float(age),
            unit="transactions",
            next_command=f"VACUUM (FREEZE, VERBOSE) {oldest.label}",
        )
    ]
