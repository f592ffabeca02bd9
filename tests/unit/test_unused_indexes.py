"""An index is unused only when stored counts of every server prove it for long enough."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.base.performance import PerformancePolicy
from tasks.base.words import Verdict
from tasks.postgres.review.snapshots import Snapshot
from tasks.postgres.review.unused import Usable, Usage, part

NOW = datetime(2026, 11, 21, tzinfo=UTC)
INDEX = Usable(
    oid=7, scans=5, size_bytes=10**7, name="public.orders_note", partitioned=False, expression=False, needed=False,
    definition="CREATE INDEX orders_note ON public.orders USING btree (note)",
)  # fmt: skip


def snapshot(days_ago, scans, epoch="a", node="primary"):
    return Snapshot(
        database="shop",
        node=node,
        run_id=f"r{days_ago}",
        taken_at=NOW - timedelta(days=days_ago),
        reset_at=None,
        epoch=epoch,
        columns=("scans",),
        entries={} if scans is None else {"7": (float(scans),)},
    )


def usage(scans=5, epoch="a", node="primary", streaming=0, index=INDEX):
    taken = snapshot(0, scans, epoch, node)
    return Usage(snapshot=taken, indexes=(index,), standby=node != "primary", streaming=streaming)


def judged(usages, *histories):
    checks = part(usages, histories, PerformancePolicy()).checks
    return [(check.name, check.verdict) for check in checks], checks[0]


UNUSED, OK = [("unused index", Verdict.INFO)], [("unused indexes", Verdict.OK)]
UNKNOWN = [("unused indexes", Verdict.SKIP)]


def test_no_scan_in_35_days_is_unused_and_both_statements_are_printed():
    found, check = judged([usage()], [snapshot(36, 5), snapshot(20, 5), snapshot(7, 5)])
    assert found == UNUSED
    assert check.next_command == "DROP INDEX CONCURRENTLY public.orders_note"
    assert INDEX.definition in check.message
    assert "no scan since 2026-10-16" in check.message


@pytest.mark.parametrize(
    ("history", "expected", "known_on"),
    [
        ([], UNKNOWN, "2026-12-26"),
        ([snapshot(34, 5), snapshot(7, 5)], UNKNOWN, "2026-11-22"),
        ([snapshot(40, 4), snapshot(7, 5)], OK, ""),
        ([snapshot(60, 4), snapshot(36, 5), snapshot(7, 5)], UNUSED, ""),
        # A reset or a crash takes away what is known, though the counts look the same.
        ([snapshot(36, 5, "before the crash"), snapshot(7, 5)], UNKNOWN, "2026-12-19"),
        # Made anew since: the former one had another oid.
        ([snapshot(36, None), snapshot(7, 5)], UNKNOWN, "2026-12-19"),
    ],
)
def test_what_is_not_known_is_a_skip_with_the_day_and_what_was_scanned_is_well(history, expected, known_on):
    found, check = judged([usage()], history)
    assert found == expected
    assert known_on in check.message


def test_a_scan_on_a_standby_is_a_use_and_a_standby_without_history_is_not_known():
    both = [usage(streaming=1), usage(node="service=replica")]
    quiet = [snapshot(36, 5)]
    assert judged(both, quiet, [snapshot(36, 5, node="service=replica")])[0] == UNUSED
    assert judged(both, quiet, [snapshot(36, 4, node="service=replica"), snapshot(7, 4)])[0] == OK
    assert judged(both, quiet, [snapshot(3, 5, node="service=replica")])[0] == UNKNOWN
    assert judged([usage(), usage(None, node="service=replica")], quiet, [])[0] == UNKNOWN


def test_servers_that_prove_nothing_are_a_skip_that_says_what_to_correct():
    quiet = [snapshot(36, 5)]
    _, check = judged([usage(streaming=2)], quiet)
    assert "2 standbys stream from the primary and 0 are configured" in check.message
    _, check = judged([usage(), usage()], quiet, quiet)
    assert "is configured as a standby and is none" in check.message
    _, check = judged([usage(node="standby")], quiet)
    assert "leads to a standby" in check.message


@pytest.mark.parametrize("change", [{"needed": True}, {"size_bytes": 100}])
def test_a_constraint_and_a_small_index_are_left_alone(change):
    assert judged([usage(index=INDEX.model_copy(update=change))], [snapshot(36, 5)])[0] == OK


def test_a_partitioned_index_is_dropped_without_concurrently_which_it_cannot():
    partitioned = INDEX.model_copy(update={"partitioned": True, "expression": True})
    _, check = judged([usage(index=partitioned)], [snapshot(36, 5)])
    assert check.next_command == "DROP INDEX public.orders_note"
    assert "statistics of its expression" in check.message
