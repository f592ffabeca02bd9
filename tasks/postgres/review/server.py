"""The parts of a review that the servers' own counters answer: snapshots are taken and kept first, then compared."""

from tasks.base.errors import NightshiftError
from tasks.base.performance import Part
from tasks.base.system import Database, System
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.fingerprint.session import reader
from tasks.postgres.review import (
    activity,
    advice,
    locks,
    overtime,
    partitions,
    rules,
    settings,
    snapshots,
    statements,
    unused,
)
from tasks.postgres.review.ranking import Statements
from tasks.repository.store import Store

STATEMENTS, ACTIVITY, INDEX_USAGE = "statements", "activity", "index-usage"
_DRAWN_DAYS = 90.0


class Review:
    """One review of one database: what is asked of its servers, and where the answers are kept."""

    def __init__(self, store: Store, system: System, database: Database, run_id: str, days: float) -> None:
        self.store, self.system, self.database, self.run_id, self.days = store, system, database, run_id, days
        self.policy = system.performance
        self._name = f"nightshift:review:{run_id}"

    def parts(self) -> list[Part]:
        """Everything that the servers say. Raises UnreachableError, RefusedError, IncompleteError for the primary."""
        primary = self.database.lock_dsn or self.database.dsn
        with reader(self._at(primary), None, self._name) as session:
            taken = statements.take(session, self.database.name, self.run_id)
            now = activity.take(session, self.database.name, self.run_id)
            waits = locks.read(session)
            usage = unused.take(session, self.database.name, snapshots.PRIMARY, self.run_id)
            found = settings.read(session, self.policy)
            tables = advice.read(session, self.policy)
            huge = partitions.read(session, self.policy)
        history = self._history(ACTIVITY, now, max(_DRAWN_DAYS, 2.5 * self.days))
        active = activity.part(now, history, self.policy, self.days)
        over_time = Part(attachments=overtime.attachments(now, history, self.policy))
        return [
            *self._statements(taken, tables, huge),
            active,
            locks.part(self.system.name, waits, now, history, self.policy),
            over_time,
            self._unused(usage),
            settings.part(self.database.name, *found, rules.judge(*found)),
        ]

    def _at(self, dsn: str) -> Database:
        return self.database.model_copy(update={"dsn": dsn})

    def _history(self, stream: str, taken: snapshots.Snapshot, days: float) -> list[snapshots.Snapshot]:
        """Keep the snapshot, and read those of other runs before it."""
        snapshots.keep(self.store, self.system.name, stream, taken)
        return snapshots.former(self.store, self.system.name, stream, taken, days)

    def _statements(
        self,
        taken: snapshots.Snapshot | CheckResult,
        tables: tuple[advice.LargeTable, ...],
        huge: tuple[partitions.HugeTable, ...],
    ) -> list[Part]:
        if isinstance(taken, CheckResult):
            return [Part(checks=(taken,)), partitions.part(self.database.name, huge, None)]
        # The period, the one before it, and half of one, as runs do not come to the minute.
        found = Statements(taken, self._history(STATEMENTS, taken, 2.5 * self.days), self.policy, self.days)
        return [
            found.part(),
            advice.part(found, tables, self.policy),
            partitions.part(self.database.name, huge, found),
        ]

    def _unused(self, primary: unused.Usage) -> Part:
        """A standby that does not answer leaves it unknown, and the rest of the review as it is."""
        # As far back as two monthly reviews may lie.
        days = self.policy.unused_days + 35
        usages, histories = [primary], [self._history(INDEX_USAGE, primary.snapshot, days)]
        standbys = [self.database.dsn] if self.database.lock_dsn else []
        try:
            for dsn in dict.fromkeys((*standbys, *self.database.standbys)):
                with reader(self._at(dsn), None, self._name) as session:
                    usages.append(unused.take(session, self.database.name, dsn, self.run_id))
                histories.append(self._history(INDEX_USAGE, usages[-1].snapshot, days))
        except NightshiftError as error:
            reason = f"not known without all configured servers: {error}"
            return Part(checks=(unused.said(self.database.name, Verdict.SKIP, reason),))
        return unused.part(usages, histories, self.policy)
