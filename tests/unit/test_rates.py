"""Counters: what they moved by per day, and nothing where they tell nothing."""

from datetime import UTC, datetime, timedelta

from tasks.base.samples import Former, Sample, rates

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)


def moved(used, before, days=1.0, **changes):
    now = Sample(kind="wal written total", resource="shop", unit="bytes", used=used, capacity=86400)
    former = {("wal written total", "shop"): Former(at=NOW - timedelta(days=days), used=before)}
    return rates([now.model_copy(update=changes)], NOW, former)


def test_a_counter_gives_its_rate_per_day_held_against_what_a_day_can_hold():
    (rate,) = moved(700, 100, days=3)
    assert rate == Sample(kind="wal written", resource="shop", unit="bytes per day", used=200, capacity=86400)


def test_a_counter_that_began_anew_is_new_or_has_no_time_gives_none():
    assert moved(5, 100) == []
    assert moved(500, 100, resource="other") == []
    assert moved(500, 100, days=-1) == []
    assert moved(500, 100, days=0) == []
    assert moved(500, 100, kind="wal") == []
