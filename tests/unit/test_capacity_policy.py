"""The capacity part of a system file: what is full, what it costs, and what is refused."""

import pytest
from pydantic import ValidationError

from tasks.base.capacity import CapacityPolicy
from tasks.base.system import System

DATA = {"name": "acme", "databases": [{"name": "shop", "dsn": ""}], "repository": {"url": "file:///x"}}


def test_the_first_threshold_and_price_that_fit_count():
    policy = CapacityPolicy.model_validate(
        {
            "thresholds": [
                {"kind": "filesystem", "resource": "*:/var", "percent": 60, "floor": 1e9},
                {"kind": "filesystem*", "percent": 70},
            ],
            "prices": [{"kind": "volume", "per_month": 0.1, "amount": 2**30}],
        }
    )
    assert policy.threshold("filesystem", "db1:/var").percent == 60
    assert policy.threshold("filesystem", "db1:/").percent == 70
    assert policy.threshold("filesystem inodes", "db1:/var").percent == 70
    assert policy.threshold("cpu", "db1") is None
    assert policy.price("volume", "main/data").amount == 2**30
    assert policy.price("node", "main/n1") is None


def test_the_thresholds_of_the_operations_manual_are_the_defaults():
    policy = CapacityPolicy()
    kinds = ("database", "connections", "cpu", "filesystem", "filesystem inodes", "sequence")
    assert [policy.threshold(kind, "x").percent for kind in kinds] == [80, 80, 70, 70, 70, 80]


@pytest.mark.parametrize(
    ("capacity", "message"),
    [
        ({"metrics": [{"name": "m"}]}, "either sql or promql"),
        ({"metrics": [{"name": "m", "sql": "SELECT 1", "promql": "up"}]}, "either sql or promql"),
        ({"metrics": [{"name": "m", "promql": "up", "database": "shop"}]}, "belongs to a metric by sql"),
        ({"metrics": [{"name": "m", "sql": "SELECT 1", "database": "other"}]}, "unknown databases: other"),
        ({"metrics": [{"name": "m", "promql": "up"}]}, "no prometheus.url"),
        ({"metrics": [{"name": "m", "sql": "SELECT 1"}] * 2}, "two metrics have the same name"),
        ({"databases": {"capacity_bytes": {"other": 1}}}, "unknown databases: other"),
        ({"thresholds": [{"kind": "cpu", "percent": 170}]}, "less than or equal to 100"),
    ],
)
def test_what_cannot_be_right_is_refused(capacity, message):
    with pytest.raises(ValidationError, match=message):
        System.model_validate(DATA | {"capacity": capacity})
