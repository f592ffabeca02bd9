"""What was counted between snapshots. Resets, evictions and a change of the server are gaps, never negative figures."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from pydantic import Field

from tasks.base.words import Frozen
from tasks.postgres.review.snapshots import Snapshot, nearest

# Not a counter: since when this entry counts (epoch seconds). Another value than before means that it began anew.
SINCE = "since"
Values = dict[str, float | None]


class Period(Frozen):
    """What was counted from one snapshot to another; figures are lower bounds where something was lost in between."""

    start: datetime
    end: datetime
    counts: dict[str, dict[str, float]] = Field(description="By the key of the thing, then by column; never negative")
    resets: tuple[datetime, ...] = Field(default=(), description="When all counters began anew")
    other_server: bool = Field(default=False, description="Whether a part of it was counted by another server")
    evictions: int = 0
    lost: int = Field(default=0, description="Entries of which the last part was not seen, as they were thrown out")

    @property
    def days(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds() / 86400


def between(snapshots: Sequence[Snapshot]) -> Period:
    """Everything counted from the first to the last, by the sum of the steps between them.

    More snapshots lose less: of what a reset wiped out, only the part since the last one before it is missing.
    Raises ValueError for fewer than two.
    """
    if len(snapshots) < 2:
        raise ValueError("a period needs two snapshots")
    counts: dict[str, dict[str, float]] = {}
    resets, other_server, evictions, lost = [], False, 0, 0
    for before, after in pairwise(snapshots):
        anew = before.epoch != after.epoch
        evictions += after.evictions - (0 if anew else min(before.evictions, after.evictions))
        if anew and after.reset_at is not None and after.reset_at <= before.taken_at:
            # It counted already when the other snapshot was taken, so it is another server: nothing is comparable.
            other_server = True
            continue
        if anew:
            resets.append(after.reset_at or after.taken_at)
        else:
            lost += len(before.entries.keys() - after.entries.keys())
        old, new = {} if anew else _by_column(before), _by_column(after)
        for key, values in new.items():
            step = _grown(old.get(key, {}), values)
            total = counts.setdefault(key, dict.fromkeys(step, 0.0))
            for column, value in step.items():
                total[column] = total.get(column, 0.0) + value
    return Period(
        start=snapshots[0].taken_at,
        end=snapshots[-1].taken_at,
        counts=counts,
        resets=tuple(resets),
        other_server=other_server,
        evictions=evictions,
        lost=lost,
    )


def since_reset(snapshot: Snapshot) -> Period:
    """Everything that a single snapshot counted, since its counters were reset."""
    return Period(
        start=snapshot.reset_at or snapshot.taken_at,
        end=snapshot.taken_at,
        counts={key: _grown({}, values) for key, values in _by_column(snapshot).items()},
        evictions=snapshot.evictions,
    )


def periods(history: Sequence[Snapshot], now: Snapshot, days: float) -> tuple[Period, Period]:
    """The period of about so many days up to now, and the one before it, from the snapshots that lie nearest.

    Where there is no snapshot before the period, what its first one had counted since the reset is the one before.
    Raises ValueError without history.
    """
    length = timedelta(days=days)
    first = nearest(history, now.taken_at - length)
    this = between([*history[first:], now])
    earlier = history[:first]
    if not earlier:
        return this, since_reset(history[first])
    return this, between(history[nearest(earlier, history[first].taken_at - length) : first + 1])


def _by_column(snapshot: Snapshot) -> dict[str, Values]:
    return {key: dict(zip(snapshot.columns, values, strict=True)) for key, values in snapshot.entries.items()}


def _grown(old: Values, new: Values) -> dict[str, float]:
    """By how much each counter grew; all that it holds when it began anew, which one that fell shows too."""
    figures = {name: value or 0.0 for name, value in new.items() if name != SINCE}
    fell = any((old.get(name) or 0.0) > value for name, value in figures.items())
    if fell or (old.get(SINCE) is not None and old[SINCE] != new[SINCE]):
        return figures
    return {name: value - (old.get(name) or 0.0) for name, value in figures.items()}
