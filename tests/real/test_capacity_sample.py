"""The daily sample as a flow: everything is kept, one part that fails takes no other with it, a day is one sample."""

from datetime import timedelta

import pytest

from flows.capacity_sample import capacity_sample
from tasks.base.clock import utc_now
from tasks.base.errors import NightshiftError
from tasks.base.samples import Sample
from tasks.base.words import Verdict
from tasks.repository import samples
from tasks.repository.local import LocalStore
from tests.real.conftest import change_system
from tests.unit.kubernetes_api import CORE, FakeCluster, node, pod


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster()
    for path in (f"{CORE}/persistentvolumes", f"{CORE}/persistentvolumeclaims"):
        made.put(path, [])
    made.put(f"{CORE}/nodes", [node("n0")])
    made.put(f"{CORE}/pods", [pod("one", requests={"cpu": "1", "memory": "1Gi"})])
    yield {"name": "main", "kubeconfig": str(made.kubeconfig(tmp_path))}
    made.close()


def kept(system):
    return {(row["kind"], row["resource"]): row for row in samples.read(LocalStore(str(system)), "acme").to_pylist()}


def test_everything_that_the_system_names_is_sampled_and_a_day_is_one_sample(system, cluster, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    change_system(
        capacity={
            "host": {"directories": [str(tmp_path / "data")]},
            "clusters": [cluster],
            "compose": [{"name": "app", "folder": str(tmp_path)}],
            "metrics": [{"name": "tables", "sql": "SELECT count(*) FROM pg_class WHERE relkind = 'r'"}],
        }
    )
    monkeypatch.setattr("shutil.which", lambda *_: None)
    store, now = LocalStore(str(system)), utc_now()
    yesterday = Sample(kind="wal written total", resource="shop", unit="bytes", used=1)
    samples.append(store, "acme", samples.table_of([yesterday], now - timedelta(days=1)), "00000001")
    result = capacity_sample("acme")
    assert result.verdict is Verdict.SKIP
    assert {check.target: check.verdict for check in result.checks if check.verdict is not Verdict.OK} == {
        "main": Verdict.SKIP, "app": Verdict.SKIP,
    }  # fmt: skip
    found = kept(system)
    kinds = {kind for kind, _ in found}
    assert kinds >= {"database", "table", "connections", "metric", "filesystem", "memory", "directory", "repository"}
    assert kinds >= {"cluster cpu requests", "wal written"}
    assert not [kind for kind in kinds if kind.endswith(" total")]
    assert found["cluster memory requests", "main"]["used"] == 2**30
    assert found["metric", "tables"]["used"] > 50
    again = {(one.kind, one.resource) for one in capacity_sample("acme").samples}
    every = again | {(one.kind, one.resource) for one in result.samples}
    assert len(kept(system)) == len([kind for kind, _ in every if not kind.endswith(" total")])


def test_a_part_that_fails_is_red_and_what_the_others_gave_is_kept(system, shop):
    change_system(
        databases=[{"name": "shop", "dsn": f"{shop} dbname=nowhere"}],
        capacity={"host": {}, "clusters": [{"name": "main", "kubeconfig": "/nowhere/kubeconfig"}]},
    )
    with pytest.raises(NightshiftError, match="2 FAIL"):
        capacity_sample("acme")
    assert {kind for kind, _ in kept(system)} >= {"filesystem", "memory", "repository"}


def test_a_store_that_takes_nothing_is_no_silence(system, monkeypatch):
    def refuse(*_):
        raise NightshiftError("the store is full")

    monkeypatch.setattr(samples, "append", refuse)
    with pytest.raises(NightshiftError, match="the store is full"):
        capacity_sample("acme")
