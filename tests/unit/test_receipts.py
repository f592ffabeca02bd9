"""The chain of receipts: what was changed, removed, moved or forged afterwards is named."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from deployments.cli import main
from tasks.base.words import Verdict
from tasks.repository import records
from tasks.repository.local import LocalStore

START = datetime(2026, 1, 4, 5, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "repository"))


def receipt(week, proven="proven", started_at=None, **changes):
    finished_at = START + timedelta(weeks=week, minutes=10)
    said = {
        "backup_id": f"20260104T02000{week}Z-0000000{week}",
        "manifest_sha256": "0" * 64,
        "system": "acme",
        "database": "shop",
        "run_id": f"1000000{week}",
        "started_at": started_at or finished_at - timedelta(minutes=10),
        "finished_at": finished_at,
        "verdict": Verdict.OK if proven == "proven" else Verdict.FAIL,
        "proven": proven,
        "rungs": (),
        "rto_seconds": 60.0,
        "rpo_seconds": 10800.0,
    }
    return records.Receipt(**said | changes)


@pytest.fixture
def keys(store):
    """Five weeks of tests, one of them failed."""
    return [records.add_receipt(store, receipt(week, "not proven" if week == 2 else "proven")) for week in range(5)]


def wrong(store):
    checks = records.verify_chain(store, "acme", "shop")
    return {check.target: check.message for check in checks if check.verdict is Verdict.FAIL}


def rewrite(store, key, target="", **changes):
    data = json.loads(store.get(key)) | changes
    store.put(target or key, json.dumps(data).encode())


def test_an_untouched_chain_verifies(store, keys):
    assert [check.verdict for check in records.verify_chain(store, "acme", "shop")] == [Verdict.OK] * 5
    assert records.proven_backup_ids(store, "acme", "shop") == [
        receipt(week).backup_id for week in range(5) if week != 2
    ]


@pytest.mark.parametrize(
    ("later", "still_proven"), [("not proven", False), ("partially proven", True), ("proven", True)]
)
def test_a_backup_that_fails_a_later_test_is_proven_no_more(store, keys, later, still_proven):
    again = receipt(5, later, backup_id=receipt(4).backup_id)
    records.add_receipt(store, again)
    assert (again.backup_id in records.proven_backup_ids(store, "acme", "shop")) is still_proven


@pytest.mark.parametrize("week", range(4))
def test_a_changed_receipt_is_named(store, keys, week):
    rewrite(store, keys[week], rto_seconds=1.0)
    assert list(wrong(store)) == [keys[week]]
    assert f"changed after {keys[week + 1]} was written" in wrong(store)[keys[week]]


@pytest.mark.parametrize("week", range(4))
def test_a_removed_receipt_is_named(store, keys, week):
    store.delete(keys[week])
    assert list(wrong(store)) == [keys[week]]
    assert "taken out" in wrong(store)[keys[week]]


def test_a_failed_test_that_is_made_to_look_proven_is_named(store, keys):
    better = keys[2].replace("not-proven", "proven")
    store.put(better, store.get(keys[2]))
    store.delete(keys[2])
    assert set(wrong(store)) == {better, keys[2]}
    rewrite(store, better, proven="proven", verdict="OK")
    assert set(wrong(store)) == {better, keys[2]}


def test_reordered_receipts_are_named(store, keys):
    first, second = store.get(keys[1]), store.get(keys[3])
    store.put(keys[1], second)
    store.put(keys[3], first)
    assert set(wrong(store)) == {keys[1], keys[3]}


def test_a_receipt_of_another_database_or_another_backup_is_named(store, keys):
    other = records.add_receipt(store, receipt(5, database="other"))
    stolen = other.replace("/other/", "/shop/")
    store.put(stolen, store.get(other))
    assert list(wrong(store)) == [stolen]
    store.delete(stolen)
    store.put(f"acme/shop/logical/{receipt(4).backup_id}/manifest.json", b"another manifest")
    assert list(wrong(store)) == [keys[4]]
    assert "another manifest" in wrong(store)[keys[4]]


def test_a_receipt_that_is_put_in_between_is_named(store, keys):
    forged = receipt(2, run_id="ffffffff", previous=json.loads(store.get(keys[2]))["previous"])
    store.put(forged.key, forged.model_dump_json().encode())
    assert list(wrong(store)) == [forged.key]
    assert "put in afterwards" in wrong(store)[forged.key]


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"backup_id": 1}'])
def test_what_is_no_receipt_is_named_and_stops_no_test(store, keys, data):
    store.put(keys[4], data)
    assert list(wrong(store)) == [keys[4]]
    records.add_receipt(store, receipt(5))
    assert list(wrong(store)) == [keys[4]]


def test_tests_that_ran_at_a_time_are_no_break(store, keys, monkeypatch):
    at_a_time = [receipt(5), receipt(5, run_id="2000000b", database="shop")]
    listing = list(store.list("acme/shop/receipts/"))
    with monkeypatch.context() as patched:
        patched.setattr(store, "list", lambda prefix="", after="": iter(listing))
        both = [records.add_receipt(store, one) for one in at_a_time]
    assert wrong(store) == {}
    last = records.add_receipt(store, receipt(6))
    assert wrong(store) == {}
    assert set(json.loads(store.get(last))["previous"]) == set(both)
    store.delete(both[0])
    assert list(wrong(store)) == [both[0]]


def test_a_key_is_written_once(store, keys):
    with pytest.raises(PermissionError, match="exists already"):
        records.add_receipt(store, receipt(4))


def test_the_command_ends_with_an_exit_code(store, keys, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))
    databases = [{"name": "shop", "dsn": "dbname=shop"}]
    system = {"name": "acme", "databases": databases, "repository": {"url": store.url}}
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(system))

    def verify():
        with pytest.raises(SystemExit) as ended:
            main(["receipts", "acme", "--verify"])
        return ended.value.code, capsys.readouterr().out

    code, said = verify()
    assert (code, said.count("OK ")) == (0, 5)
    store.delete(keys[1])
    code, said = verify()
    assert code == 1
    assert f"FAIL       {keys[1]}: receipt: it is gone" in said
    for key in keys:
        store.delete(key)
    code, said = verify()
    assert code == 1
    assert "SKIP       acme/shop: receipt: there is no receipt" in said
