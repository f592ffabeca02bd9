"""What former reviews counted in a log: the stream `log-review` of the journal, and what it says about this period.

A row a review of a log: its period, counts by hour, shapes of messages, attacks and how they were answered. The
next review begins where the last whole one ended, so that what could not be read today is read tomorrow, and what a
run counted that was killed before its report. Such a run and the next one, one that is tried again, or two at the same
time write rows of the same beginning; the last counts.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from tasks.base.clock import iso
from tasks.base.log_review import LogReviewPolicy
from tasks.logs.tally import HOUR, Tally
from tasks.repository import journal
from tasks.repository.journal import Row
from tasks.repository.store import Store

STREAM = "log-review"
_KEY = ("flow", "source", "since")
# So many shapes of messages, paths and logins stand in a row.
_KEPT = 500
# A review looks back no further, whatever could not be read before.
_LONGEST = timedelta(days=31)
_PERCENTILE = 95


class Burst(NamedTuple):
    """An hour that had far more of something than the log's hours have."""

    measure: str
    hour: datetime
    number: int
    usual: float
    limit: float


class History:
    """The rows of one log, as one flow and as all flows wrote them."""

    def __init__(
        self, store: Store, system: str, flow: str, source: str, policy: LogReviewPolicy, now: datetime
    ) -> None:
        """Read the journal. Raises CorruptError for an object of it that cannot be read."""
        self._store, self._system, self._flow, self._source, self._policy = store, system, flow, source, policy
        days = max(policy.history_days, policy.remember_days, _LONGEST.days)
        found = journal.fold(store, system, STREAM, _KEY, now - timedelta(days=days + 1))
        self.all = sorted((row for row in found if row["source"] == source), key=lambda row: str(row["until"]))
        self._own = [row for row in self.all if row["flow"] == flow]
        self._compared_since = now - timedelta(days=policy.history_days)

    def since(self, run_id: str, until: datetime) -> datetime:
        """Where this review begins: where the last one of this flow ended that was told to anybody.

        Neither a former try of this run nor the last run, if it was killed before its report, has told what it counted.
        """
        others = [row for row in self._own if row["run_id"] != run_id]
        ends = [
            _moment(row["until"]) for row in others if row["whole"] and not (row is others[-1] and self._untold(row))
        ]
        begun = [_moment(row["since"]) for row in others]
        first = max(ends) if ends else min([*begun, until - timedelta(hours=self._policy.first_hours)])
        return max(min(first, until), until - _LONGEST)

    def _untold(self, row: Row) -> bool:
        reports = journal.read(self._store, self._system, journal.EVIDENCE, _moment(row["until"]))
        return all(report["run_id"] != row["run_id"] for report in reports)

    def before(self, since: datetime) -> "Before":
        """What the reviews of the time before this period counted."""
        return self._before(self._own, since)

    def before_of_any_flow(self, since: datetime) -> "Before":
        """The same of the flow that reviewed most of that time: periods of two flows are the same lines."""
        flows = {row["flow"] for row in self.all}
        found = [self._before([row for row in self.all if row["flow"] == flow], since) for flow in sorted(flows)]
        return max(found, key=lambda one: one.hours, default=Before([]))

    def _before(self, rows: Sequence[Row], since: datetime) -> "Before":
        first = self._compared_since
        return Before([row for row in rows if row["whole"] and first <= _moment(row["until"]) <= since])

    def row(self, run_id: str, tally: Tally, since: datetime, until: datetime, *, whole: bool) -> Row:
        """What was counted, as it stands in the journal."""
        hours: dict[str, dict[str, int]] = {}
        for (hour, measure), number in sorted(tally.hours.items()):
            hours.setdefault(iso(_of_hour(hour)), {})[measure] = number
        return {
            "flow": self._flow, "source": self._source, "run_id": run_id,
            "since": _exact(since), "until": _exact(until), "whole": whole, "lines": tally.reviewed, "hours": hours,
            "messages": dict(Counter({shape: one.count for shape, one in tally.messages.items()}).most_common(_KEPT)),
            "attacks": {
                path: {
                    "attack": one.attack.name, "is_a_leak": one.attack.is_a_leak, "reference": one.attack.source,
                    "served": one.served, "last_served": one.last_served, "last_refused": one.last_refused,
                }
                for path, one in sorted(tally.attacked.items(), key=lambda pair: (-pair[1].served, pair[0]))[:_KEPT]
            },
            "suspicious": [
                {"user": user, "source": source, "failures": failures, "at": at}
                for (user, source), (failures, at) in list(tally.suspicious.items())[:_KEPT]
            ],
        }  # fmt: skip

    def append(self, run_id: str, row: Row) -> None:
        """Keep it."""
        journal.append(self._store, self._system, STREAM, [row], run_id)


class Before:
    """Counts of the reviews before a period."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._hours: dict[int, Counter[str]] = {}
        for row in rows:
            first, last = _moment(row["since"]).timestamp(), _moment(row["until"]).timestamp()
            for hour in range(int(first // HOUR), int(-(-last // HOUR))):
                self._hours.setdefault(hour, Counter())
            for hour_text, counts in row["hours"].items():
                self._hours.setdefault(int(_moment(hour_text).timestamp() // HOUR), Counter()).update(counts)

    @property
    def hours(self) -> int:
        """How many hours were reviewed, those without a line too."""
        return len(self._hours)

    @property
    def busy_share(self) -> float:
        """The share of those hours that had a line; 0 without any."""
        return sum(counts["lines"] > 0 for counts in self._hours.values()) / self.hours if self.hours else 0.0

    def messages(self) -> Counter[str]:
        """How often messages of each shape came in all."""
        found: Counter[str] = Counter()
        for row in self._rows:
            found.update(row["messages"])
        return found

    def usual(self, measure: str, without: int) -> float:
        """What 95 % of the hours had at most; `without` that hour, which belongs to the period as well."""
        counts = [hour_counts[measure] for hour, hour_counts in self._hours.items() if hour != without]
        return float(np.percentile(counts, _PERCENTILE)) if counts else 0.0

    def bursts(self, tally: Tally, policy: LogReviewPolicy) -> list[Burst]:
        """For each measure the hour of the period that is furthest beyond its limit, where one is."""
        boundary = int(tally.since // HOUR)
        found = []
        for measure in sorted({name for _, name in tally.hours} - {"lines"}):
            usual = self.usual(measure, boundary)
            limit = max(float(policy.burst_minimum), policy.burst_factor * usual)
            counts = {hour: number for (hour, name), number in tally.hours.items() if name == measure}
            if boundary in counts and boundary in self._hours:
                counts[boundary] += self._hours[boundary][measure]
            hour, count = max(counts.items(), key=lambda pair: (pair[1], -pair[0]))
            if count >= limit and count > usual:
                found.append(Burst(measure, _of_hour(hour), count, usual, limit))
        return found


def _of_hour(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR, UTC)


def _exact(moment: datetime) -> str:
    """To the microsecond: a period begins exactly where the one before ended."""
    return moment.astimezone(UTC).isoformat()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
