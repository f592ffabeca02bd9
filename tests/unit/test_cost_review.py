"""The cost review: what is idle, oversized or old, with its evidence; what is not known is never called idle."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tasks.base.backup import BackupKind
from tasks.base.capacity import CapacityPolicy
from tasks.base.words import Verdict
from tasks.capacity.cost import CostResult, review
from tasks.repository.manifest import BackupRef
from tests.unit.capacity import GIB, TODAY, grid

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
POLICY = CapacityPolicy(
    prices=(
        {"kind": "table", "per_month": 0.1, "amount": GIB},
        {"kind": "volume", "per_month": 0.2, "amount": GIB},
        {"kind": "database", "per_month": 0.1, "amount": GIB},
    )
)
DAYS = 40


def found(backups=(), days=DAYS, **series):
    made = grid(36, **{name: {"unit": "bytes", **one, "used": list(one["used"])} for name, one in series.items()})
    return review("acme", made, backups, POLICY, NOW, 90)


def uses(value, days=DAYS):
    return {"used": [value] * days, "unit": "count per day"}


def sizes(gib, days=DAYS):
    return {"used": [gib * GIB] * days}


def by_name(checks):
    return {check.name: check for check in checks}


def test_a_table_that_nobody_touched_is_idle_with_its_price_and_one_that_was_is_not():
    rows, checks = found(
        **{"table__shop.public.old": sizes(30), "table use__shop.public.old": uses(0)},
        **{"table__shop.public.orders": sizes(50), "table use__shop.public.orders": {"used": [0] * 39 + [1]}},
    )
    assert [(row["finding"], row["resource"], row["saved_per_month"]) for row in rows] == [
        ("idle table", "shop.public.old", 3.0)
    ]
    assert "35 days" in rows[0]["evidence"]
    assert tuple(rows[0]) == CostResult.csv_header
    assert by_name(checks)["idle tables"].verdict is Verdict.INFO


def test_small_idle_tables_are_one_row_of_their_database():
    small = {f"table__shop.public.t{n}": sizes(0.001) for n in range(3)}
    small |= {f"table use__shop.public.t{n}": uses(0) for n in range(3)}
    rows, _ = found(**small)
    assert [(row["resource"], row["size"]) for row in rows] == [("shop (3 small tables)", round(3 * 0.001 * GIB))]


@pytest.mark.parametrize(("sessions", "use", "idle"), [(4, 0, True), (5000, 0, False), (4, 3, False)])
def test_a_database_is_idle_when_no_table_is_used_and_only_operations_open_it(sessions, use, idle):
    rows, _ = found(
        database__shop=sizes(30),
        sessions__shop=uses(sessions),
        **{"table__shop.public.a": sizes(1), "table use__shop.public.a": uses(use)},
    )
    assert [row["resource"] for row in rows if row["finding"] == "idle database"] == (["shop"] if idle else [])


def test_what_was_not_sampled_long_enough_is_skip_with_the_command_and_never_idle():
    rows, checks = found(
        **{"table__shop.public.old": sizes(30, 5), "table use__shop.public.old": uses(0, 5)},
        volume__data={**sizes(1, 5), "capacity": 100 * GIB},
    )
    assert rows == []
    for question in ("idle databases", "idle tables", "oversized"):
        assert by_name(checks)[question].verdict is Verdict.SKIP
        assert by_name(checks)[question].next_command == "nightshift run capacity_sample system=acme"


def test_a_volume_far_above_its_peak_is_oversized_and_the_peak_counts_not_the_mean():
    peak = np.full(DAYS, 5.0) * GIB
    peak[-10] = 20 * GIB
    rows, _ = found(
        volume__data={"used": peak, "capacity": 100 * GIB},
        volume__busy={"used": np.where(np.arange(DAYS) == 20, 60.0, 5.0) * GIB, "capacity": 100 * GIB},
        sequence__ids={"used": [1] * DAYS, "capacity": 1e9, "unit": "count"},
    )
    assert [row["resource"] for row in rows] == ["data"]
    # The peak of 20 GiB would stand at the threshold of 70 % of 28.6 GiB.
    assert rows[0]["can_be_saved"] == pytest.approx((100 - 20 / 0.7) * GIB)
    assert rows[0]["saved_per_month"] == pytest.approx(0.2 * (100 - 20 / 0.7), abs=0.01)
    assert "at most 20 GiB of 100 GiB (20%)" in rows[0]["evidence"]


def test_a_limit_of_connections_has_no_price_and_is_told_all_the_same():
    rows, checks = found(connections__shop={"used": [9] * DAYS, "capacity": 497, "unit": "count"})
    assert (rows[0]["kind"], rows[0]["saved_per_month"]) == ("connections", None)
    assert "no price is given" in by_name(checks)["oversized"].message


def test_old_backups_are_summed_by_database_and_kind():
    def backup(days, kind, size):
        taken = NOW - timedelta(days=days)
        return BackupRef(
            system="acme", database="shop", kind=kind, backup_id=f"{taken:%Y%m%dT%H%M%SZ}-0000000a",
                stored_bytes=size,
        )  # fmt: skip

    rows, checks = found(
        [backup(100, BackupKind.LOGICAL, 5), backup(200, BackupKind.LOGICAL, 7), backup(10, BackupKind.LOGICAL, 9)]
    )
    assert [(row["resource"], row["size"]) for row in rows] == [("shop/logical", 12)]
    assert rows[0]["evidence"] == f"2 backups are older than 90 days, the oldest of {TODAY - timedelta(days=200)}"
    assert by_name(checks)["old backups"].verdict is Verdict.INFO


def test_a_resource_that_is_gone_costs_nothing_any_more():
    rows, _ = found(
        volume__gone={"used": [GIB] * 30, "capacity": 100 * GIB, "end": TODAY - timedelta(days=9)},
        volume__data={"used": [90 * GIB] * DAYS, "capacity": 100 * GIB},
    )
    assert rows == []


def test_a_claim_that_no_pod_used_all_the_time_is_unused_and_a_new_one_is_not():
    rows, _ = found(**{"claim unused__prod/old": sizes(10), "claim unused__prod/new": sizes(10, 3)})
    assert [(row["finding"], row["resource"]) for row in rows] == [("unused", "prod/old")]
    assert rows[0]["evidence"] == "claim of no pod for 35 days"
