"""What maintenance keeps in the journal: plans, outcomes (for expected durations and resuming), baselines of sizes."""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Self

from pydantic import Field

from tasks.base.clock import iso, new_run_id, stopwatch, utc_now
from tasks.base.words import Frozen, Verdict
from tasks.postgres.inspect.bloat import Baseline
from tasks.postgres.maintain.plan import Action, Step
from tasks.repository import journal
from tasks.repository.store import Store

_LOG = logging.getLogger("nightshift.maintenance")
PLANS, OUTCOMES, BASELINES = "maintenance-plans", "maintenance", "size-baselines"
# Bytes per second until there is history; said so in the plan. From a rebuild of 1 GB on two cores, halved twice.
ASSUMED = {Action.FREEZE: 50e6, Action.VACUUM: 50e6, Action.ANALYZE: 200e6, Action.REINDEX: 15e6}
_HISTORY = timedelta(days=400)
_START_SECONDS, _SMALL_START_SECONDS = 1.0, 0.05
_TELLING_BYTES = 64 * 1024**2
_RECENT = timedelta(days=8)
_WRITE_SECONDS = 30.0
_KEY = ("run_id", "database", "key")
Row = dict[str, Any]


class Outcome(Frozen):
    """How a step ended."""

    step: Step
    verdict: Verdict
    message: str
    seconds: float = 0.0
    changed: bool = Field(default=True, description="False when it was looked at and left as it is")


class Expectation(NamedTuple):
    """How long a step will take, and how that is known."""

    seconds: float
    source: str


@dataclass
class _Done:
    size_bytes: int = 0
    seconds: float = 0.0

    def add(self, row: Row) -> None:
        self.size_bytes += row["size_bytes"]
        self.seconds += max(row["seconds"], 0.001)

    def seconds_of(self, size_bytes: int) -> float:
        return self.seconds / self.size_bytes * size_bytes


class Rates:
    """Bytes per second of former steps, by target and by kind of work."""

    def __init__(self, outcomes: Sequence[Row]) -> None:
        self._by_target: dict[str, _Done] = defaultdict(_Done)
        self._by_action: dict[str, _Done] = defaultdict(_Done)
        for row in outcomes:
            if row["changed"] and row["verdict"] == Verdict.OK:
                self._by_target[row["key"]].add(row)
                # Of small ones the start is all that is measured.
                if row["size_bytes"] >= _TELLING_BYTES:
                    self._by_action[row["action"]].add(row)

    def expect(self, step: Step) -> Expectation:
        """From the target's own history, else from the same work on others, else from an assumed rate."""
        start = _SMALL_START_SECONDS if step.small else _START_SECONDS
        own, alike = self._by_target.get(step.key), self._by_action.get(step.action)
        if own and own.size_bytes:
            return Expectation(start + own.seconds_of(step.size_bytes), "its own history")
        if alike and alike.size_bytes:
            return Expectation(start + alike.seconds_of(step.size_bytes), f"history of {step.action}")
        rate = ASSUMED.get(step.action, 1e9)
        return Expectation(start + step.size_bytes / rate, "assumed, no history yet")


def keep_plan(store: Store, system: str, database: str, run_id: str, steps: Sequence[Step]) -> None:
    """Write the plan down before anything is done."""
    rows = [{"run_id": run_id, "database": database, "key": step.key, "why": step.why} for step in steps]
    if rows:
        journal.append(store, system, PLANS, rows, f"{run_id}-{database}")


def left_undone(store: Store, system: str, database: str, outcomes: Sequence[Row]) -> tuple[str, list[str]]:
    """The newest plan's run and those of its steps of which no outcome is known: what a killed run left."""
    since = utc_now() - _RECENT
    planned = [row for row in journal.fold(store, system, PLANS, _KEY, since) if row["database"] == database]
    if not planned:
        return "", []
    run_id = planned[-1]["run_id"]
    done = {row["key"] for row in outcomes if row["run_id"] == run_id}
    return run_id, [row["key"] for row in planned if row["run_id"] == run_id and row["key"] not in done]


def read_outcomes(store: Store, system: str, database: str) -> list[Row]:
    """How every step of the last 400 days ended, each step of a run once, the newest last."""
    rows = journal.fold(store, system, OUTCOMES, _KEY, utc_now() - _HISTORY)
    return [row for row in rows if row["database"] == database]


class Diary:
    """The outcomes of one run as they come, written into the journal now and then, and at the end of the block.

    `rows` are those of this try, as the journal has them.
    """

    def __init__(self, store: Store, system: str, database: str, run_id: str) -> None:
        self._store, self._system, self._database, self._run_id = store, system, database, run_id
        self._lock, self._since_write = threading.Lock(), stopwatch()
        self.rows: list[Row] = []
        self._written, self._objects = 0, 0

    def add(self, outcome: Outcome) -> None:
        """Take down one outcome; a kill loses those of the last half minute, whose work the next plan sees as done."""
        _LOG.info("%s %s: %s: %s", outcome.verdict, self._database, outcome.step.key, outcome.message)
        self._keep([outcome])

    def add_together(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Take down what one statement did; one line of log for all of it."""
        if not outcomes:
            return
        first, last = outcomes[0].step, outcomes[-1].step.target
        said = f"{len(outcomes)} small tables by one statement in {seconds:.1f} s, {first.target} to {last}"
        _LOG.info("%s %s: %s: %s", Verdict.worst([one.verdict for one in outcomes]), self._database, first.action, said)
        self._keep(outcomes)

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        at = iso(utc_now())
        with self._lock:
            self.rows += [self._row(outcome, at) for outcome in outcomes]
            if self._since_write() > _WRITE_SECONDS:
                self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        rows = self.rows[self._written :]
        if rows:
            self._objects += 1
            name = f"{self._run_id}-{self._database}-{self._objects}-{new_run_id()}"
            journal.append(self._store, self._system, OUTCOMES, rows, name)
        self._written, self._since_write = len(self.rows), stopwatch()

    def _row(self, outcome: Outcome, at: str) -> Row:
        return {
            "run_id": self._run_id,
            "database": self._database,
            "key": outcome.step.key,
            "action": str(outcome.step.action),
            "target": outcome.step.target,
            "why": outcome.step.why,
            "verdict": str(outcome.verdict),
            "message": outcome.message,
            "size_bytes": outcome.step.size_bytes,
            "seconds": round(outcome.seconds, 6),
            "changed": outcome.changed,
            "at": at,
        }


def baselines(store: Store, system: str, database: str) -> dict[str, Baseline]:
    """What freshly built indexes and tables without their air needed, by SCHEMA.NAME."""
    rows = journal.fold(store, system, BASELINES, ("database", "relation"))
    return {
        row["relation"]: Baseline(**{field: row[field] for field in Baseline.model_fields})
        for row in rows
        if row["database"] == database
    }


def keep_baselines(store: Store, system: str, database: str, run_id: str, known: Mapping[str, Baseline]) -> None:
    """Remember bytes per row of indexes that were built and tables that were measured just now."""
    rows = [{"database": database, "relation": relation, **one.model_dump()} for relation, one in known.items()]
    if rows:
        journal.append(store, system, BASELINES, rows, f"{run_id}-{database}")
