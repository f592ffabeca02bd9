"""A review of a system's only log at a chosen moment, by a run that lives until its report or does not."""

from datetime import timedelta
from itertools import count

from tasks.logs import log_review
from tasks.logs.log_review import log_reviews
from tasks.platform import pod_logs
from tasks.repository import journal
from tasks.repository.opening import open_store

# The journal files rows under the moment of their writing, and no two under one.
_TICKS = count()


def review_at(monkeypatch, system, now, flow, run_id, *, told=True):
    """What the review says; `told`: its run lived long enough to publish it."""
    monkeypatch.setattr(journal, "utc_now", lambda: now + timedelta(microseconds=next(_TICKS)))
    monkeypatch.setattr(log_review, "utc_now", lambda: now)
    store = open_store(system.repository)
    ((_, look),) = log_reviews(store, system, flow, run_id, pod_logs.fetcher(system))
    scan = look()
    if told:
        journal.append(store, system.name, journal.EVIDENCE, [{"run_id": run_id}], f"{run_id}-report")
    return scan
