"""Counters between snapshots: what was counted is counted once, and nothing ever runs backwards."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.postgres.review.deltas import between, periods, since_reset
from tasks.postgres.review.snapshots import Snapshot

START = datetime(2026, 11, 1, tzinfo=UTC)
COLUMNS = ("since", "calls", "time_ms")


def snapshot(hour, entries, epoch="a", reset_at=START, evictions=0, run_id="r"):
    return Snapshot(
        database="shop",
        node="primary",
        run_id=run_id,
        taken_at=START + timedelta(hours=hour),
        reset_at=reset_at,
        epoch=epoch,
        evictions=evictions,
        columns=COLUMNS,
        entries=entries,
    )


class Server:
    """Counts calls as a server does, and knows the truth of each statement besides."""

    def __init__(self, knows_since):
        self.hour, self.epoch, self.reset_at, self.evictions = 1, 0, START, 0
        self.knows_since, self.counters, self.truth = knows_since, {}, {}

    def call(self, key, times):
        since = float(self.hour) if self.knows_since else None
        begun, calls = self.counters.get(key, (since, 0))
        self.counters[key] = (begun, calls + times)
        self.truth[key] = self.truth.get(key, 0) + times

    def reset(self):
        self.epoch += 1
        self.evictions = 0
        self.reset_at = START + timedelta(hours=self.hour)
        self.counters = {}

    def evict(self, key):
        self.evictions += key in self.counters
        self.counters.pop(key, None)

    def snapshot(self):
        entries = {key: (since, calls, calls * 0.5) for key, (since, calls) in self.counters.items()}
        return snapshot(self.hour, entries, str(self.epoch), self.reset_at, self.evictions)


KEYS = st.sampled_from("abc")
CALLS = st.tuples(st.just("call"), KEYS, st.integers(1, 50))
EVENTS = st.lists(st.one_of(CALLS, CALLS, st.tuples(st.just("snapshot"))), min_size=1, max_size=30)
MISHAPS = st.one_of(st.tuples(st.just("reset")), st.tuples(st.just("evict"), KEYS))
ALL_EVENTS = st.lists(st.one_of(CALLS, CALLS, st.tuples(st.just("snapshot")), MISHAPS), min_size=1, max_size=30)


def lived(server, events):
    """The snapshots, one at the start and one at the end; the truth is what happened in between."""
    server.call("a", 7)
    taken = [server.snapshot()]
    server.truth = {}
    for name, *arguments in events:
        server.hour += 1
        if name == "snapshot":
            taken.append(server.snapshot())
        else:
            getattr(server, name)(*arguments)
    server.hour += 1
    return [*taken, server.snapshot()]


@settings(deadline=None)
@given(EVENTS, st.booleans())
def test_without_mishaps_the_period_is_the_truth_however_many_snapshots_lie_in_it(events, knows_since):
    server = Server(knows_since)
    period = between(lived(server, events))
    assert {key: counts["calls"] for key, counts in period.counts.items() if counts["calls"]} == server.truth
    assert (period.resets, period.evictions, period.lost) == ((), 0, 0)


@settings(deadline=None)
@given(ALL_EVENTS, st.booleans())
def test_resets_and_evictions_only_ever_lose_and_never_invent_or_go_below_zero(events, knows_since):
    server = Server(knows_since)
    period = between(lived(server, events))
    for key, counts in period.counts.items():
        assert 0 <= counts["calls"] <= server.truth.get(key, 0)
        assert counts["time_ms"] == pytest.approx(counts["calls"] * 0.5)


@settings(deadline=None)
@given(ALL_EVENTS)
def test_more_snapshots_never_tell_less(events):
    taken = lived(Server(True), events)
    whole, ends = between(taken), between([taken[0], taken[-1]])
    for key, counts in ends.counts.items():
        assert whole.counts[key]["calls"] >= counts["calls"]


def test_a_reset_is_seen_even_when_the_counter_is_higher_than_before():
    before = snapshot(1, {"a": (None, 10, 5.0)})
    after = snapshot(3, {"a": (None, 12, 6.0)}, epoch="b", reset_at=START + timedelta(hours=2))
    period = between([before, after])
    assert period.counts["a"]["calls"] == 12
    assert period.resets == (START + timedelta(hours=2),)


def test_a_statement_that_came_back_with_more_calls_is_known_by_its_time_of_birth():
    before, after = snapshot(1, {"a": (1.0, 10, 5.0)}), snapshot(3, {"a": (2.0, 12, 6.0)})
    assert between([before, after]).counts["a"]["calls"] == 12


def test_counters_of_another_server_are_not_taken_for_this_period():
    before = snapshot(5, {"a": (None, 10, 5.0)})
    after = snapshot(6, {"a": (None, 9000, 5000.0)}, epoch="standby", reset_at=START + timedelta(hours=1))
    period = between([before, after, snapshot(7, {"a": (None, 9003, 5003.0)}, "standby", START + timedelta(hours=1))])
    assert period.other_server
    assert period.counts["a"]["calls"] == 3


def test_the_period_begins_at_the_snapshot_nearest_to_its_length_and_has_one_before_it():
    taken = [snapshot(24 * day, {"a": (None, 10 * day, 0.0)}) for day in (0, 6, 7, 13, 14)]
    this, before = periods(taken[:-1], taken[-1], 7)
    assert (round(this.days), this.counts["a"]["calls"]) == (7, 70)
    assert (round(before.days), before.counts["a"]["calls"]) == (7, 70)


def test_the_second_review_is_compared_with_all_that_was_counted_before_the_first():
    first, second = snapshot(10, {"a": (None, 50, 5.0)}), snapshot(11, {"a": (None, 80, 905.0)})
    this, before = periods([first], second, 7)
    assert this.counts["a"] == {"calls": 30, "time_ms": 900.0}
    assert before.counts["a"] == since_reset(first).counts["a"] == {"calls": 50, "time_ms": 5.0}


def test_an_eviction_is_counted_and_what_is_gone_is_told():
    before = snapshot(1, {"a": (None, 10, 5.0), "b": (None, 1, 1.0)}, evictions=2)
    period = between([before, snapshot(2, {"a": (None, 10, 5.0)}, evictions=5)])
    assert (period.evictions, period.lost) == (3, 1)
    with pytest.raises(ValueError, match="two snapshots"):
        between([before])
