"""Compaction of the journal: each past day of a stream becomes one object, so that to read years costs few requests."""

from collections import Counter
from datetime import date, timedelta

from tasks.base.errors import CorruptError, MissingError, NightshiftError, RefusedError
from tasks.base.words import CheckResult, Verdict
from tasks.repository import journal
from tasks.repository.store import Store

# A day is left alone until nobody writes to it, also no host whose clock is off.
_AFTER = timedelta(days=7)
# Of one run, so that the first one over years of history ends; the next goes on.
_DAYS_A_RUN = 500
Day = tuple[str, date]


def days_to_compact(store: Store, system: str, today: date) -> list[Day]:
    """Streams and their past days that have several JSON-lines objects, the oldest first; reads only."""
    objects: Counter[Day] = Counter()
    for stream in store.folders(f"{system}/history/"):
        folder = f"{system}/history/{stream}/"
        for item in store.list(folder):
            year, month, day, name = item.key.removeprefix(folder).split("/")
            # Streams that are tables are compacted by month, see `tables`.
            if name.endswith(".jsonl"):
                objects[stream, date(int(year), int(month), int(day))] += 1
    due = [one for one, count in objects.items() if count > 1 and one[1] < today - _AFTER]
    return sorted(due, key=lambda one: (one[1], one[0]))[:_DAYS_A_RUN]


def compact_past_days(store: Store, system: str, today: date) -> CheckResult:
    """Compact what is due. A day that is damaged, or whose objects the store keeps, stops no other; all is WARN."""
    compacted, days, troubles = 0, [], []
    try:
        days = days_to_compact(store, system, today)
        for stream, day in days:
            try:
                compacted += journal.compact_day(store, system, stream, day) is not None
            except MissingError:
                continue  # another host compacted it
            except (CorruptError, RefusedError) as error:
                troubles.append(str(error))
    except NightshiftError as error:
        troubles.append(str(error))
    said = f"{compacted} of {len(days)} past days of history compacted"
    return CheckResult(
        name="history",
        target=system,
        verdict=Verdict.WARN if troubles else Verdict.OK,
        message=f"{said}; {len(troubles)} not: {troubles[0]}" if troubles else said,
        value=float(compacted),
        unit="days",
    )
