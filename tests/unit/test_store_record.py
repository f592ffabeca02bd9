"""What a store can do is recorded beside its backups, and a store that changed is told of."""

import pytest
import yaml

from deployments.checks import _repository
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tasks.repository.local import LocalStore
from tasks.repository.probe import StoreRecord, probe_and_record


@pytest.fixture
def store(tmp_path):
    return LocalStore(f"{tmp_path}/repository")


@pytest.fixture
def acme(tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))
    data = {
        "name": "acme",
        "databases": [{"name": "shop", "dsn": "dbname=shop"}],
        "repository": {"url": f"file://{tmp_path}/repository"},
    }
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(data))
    return load_system("acme")


def recorded(store):
    return StoreRecord.model_validate_json(store.get("acme/store.json"))


def test_it_is_recorded_once_and_written_again_only_when_it_changed(store, monkeypatch):
    seen, before = probe_and_record(store, "acme")
    first = recorded(store)
    assert (seen.write_once, seen.object_lock, before, first.seen) == (True, False, None, seen)
    assert probe_and_record(store, "acme") == (seen, None)
    assert recorded(store) == first
    monkeypatch.setattr(store, "writes_once", lambda _: False)
    assert probe_and_record(store, "acme") == (recorded(store).seen, first)
    assert recorded(store).seen.write_once is False
    assert [item.key for item in store.list()] == ["acme/store.json"]


def test_a_record_that_came_from_another_store_or_is_damaged_says_nothing_of_this_one(store, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "writes_once", lambda _: False)
    probe_and_record(store, "acme")
    moved = LocalStore(str(tmp_path / "moved"))
    for record in (store.get("acme/store.json"), b"{"):
        moved.put("acme/store.json", record)
        seen, before = probe_and_record(moved, "acme")
        assert before is None
        assert (recorded(moved).url, recorded(moved).seen) == (moved.url, seen)


def test_check_warns_of_a_store_that_does_otherwise_than_before(acme, store, monkeypatch):
    assert _repository(acme) == "can be written; write-once True, object lock False"
    monkeypatch.setattr(LocalStore, "writes_once", lambda *_: False)
    said = _repository(acme)
    assert said.verdict is Verdict.WARN
    assert said.message.startswith("can be written; write-once False, object lock False. It was write-once True, ")
