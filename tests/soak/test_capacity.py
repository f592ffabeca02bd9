"""Samples whose runs are killed at every storage call or run beside each other: each is there once, none is lost."""

import json
from datetime import timedelta

import pytest

from tasks.base.clock import utc_now
from tasks.base.samples import Sample
from tasks.repository import samples
from tests.soak.proxy import PLACES
from tests.soak.test_chaos import chaos, engine

__all__ = ["chaos", "engine"]


pytestmark = pytest.mark.parametrize("chaos", ["folder", "rclone"], indirect=True)


@pytest.fixture
def history(chaos):
    """Samples of a past month that nobody compacted yet; what a reader finds: (kind, resource, day), used."""
    month = utc_now() - timedelta(days=45)
    for age in range(2):
        at = month.replace(day=10 + age)
        found = samples.table_of([Sample(kind="database", resource="old", unit="bytes", used=float(age))], at)
        samples.append(chaos.store, "acme", found, f"{age:08x}")
    return read(chaos)


def read(chaos):
    rows = samples.read(chaos.store, "acme").to_pylist()
    found = {(row["kind"], row["resource"], row["day"]): row["used"] for row in rows}
    assert len(found) == len(rows), "a resource has two samples of one day"
    return found


def today(found):
    return {(kind, resource) for kind, resource, day in found if day == utc_now().date()}


@pytest.mark.timeout(600)
def test_a_sample_killed_at_any_storage_call_loses_nothing_and_the_next_run_has_every_resource_once(chaos, history):
    # A killed run may leave an object that the next one reads: there is no last call to wait for.
    struck = [
        chaos.strike("capacity_sample", lambda count, _, at=number: count == at, chaos.chance.choice(PLACES))
        for number in range(1, 21)
        if history.items() <= read(chaos).items()
    ]
    assert len(struck) == 20, "history was lost"
    assert sum(struck) > 1, "too few calls for a sample"
    told = {tuple(one) for one in json.loads(chaos.run("capacity_sample"))}
    found = read(chaos)
    assert history.items() <= found.items()
    assert {one for one in told if not one[0].endswith(" total")} == today(found)


def test_two_hosts_that_sample_at_once_are_one_sample_of_the_day(chaos, history):
    both = [chaos.engine.start("capacity_sample") for _ in range(2)]
    told = [{tuple(one) for one in json.loads(running.wait()["returned"])} for running in both]
    found = read(chaos)
    assert history.items() <= found.items()
    assert {one for one in told[0] | told[1] if not one[0].endswith(" total")} == today(found)


def test_an_import_killed_at_any_storage_call_is_there_whole_or_not_at_all(chaos, tmp_path, monkeypatch):
    days = [utc_now().date() - timedelta(days=age) for age in range(1, 301)]
    lines = [f"{day},filesystem,db1:/,bytes,{number},1000" for number, day in enumerate(days)]
    (tmp_path / "history.csv").write_text("\n".join(["at,kind,resource,unit,used,capacity", *lines]))
    monkeypatch.setenv("HISTORY", str(tmp_path / "history.csv"))
    seen, struck = set(), []
    for number in range(1, 11):
        struck.append(
            chaos.strike("capacity_import", lambda count, _, at=number: count == at, chaos.chance.choice(PLACES))
        )
        seen.add(len(read(chaos)))
    assert seen <= {0, 300}
    assert any(struck), "no kill met a storage call"
    assert chaos.run("capacity_import") == "300"
    assert len(read(chaos)) == 300
