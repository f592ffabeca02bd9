"""Retention on real stores: what it asks, what it deletes, and what it cannot delete."""

import re
from datetime import timedelta

import pytest
import yaml

from flows._support import begin
from flows.backup_retention import backup_retention, make_plan
from tasks.base.clock import stamp, utc_now
from tasks.base.errors import NightshiftError
from tasks.base.words import Verdict
from tasks.repository import catalog, records
from tests.real.faulty import always, deny, drop, faulty_store
from tests.real.stores import rclone_server


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """Writes the system 'acme', which keeps the backups of two days in the repository of such a policy."""
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))

    def write(policy):
        data = {
            "name": "acme",
            "databases": [{"name": "shop", "dsn": "dbname=shop"}],
            "repository": policy,
            "retention": {"kinds": {"logical": {"days": 2, "weekly": 1, "monthly": 1}}},
        }
        (tmp_path / "acme.yaml").write_text(yaml.safe_dump(data))

    return write


@pytest.fixture
def retain(acme):
    """Runs retention in the repository of such a policy; the state it ends in."""

    def run(policy, **parameters):
        acme(policy)
        return backup_retention("acme", return_state=True, **parameters)

    return run


def deletions(state):
    return [check for check in state.result().checks if check.name == "delete"]


def backup_ids(count):
    """So many backups, one a day, the newest first; half a day stands between each and a rule's edge."""
    now = utc_now()
    return [f"{stamp(now - timedelta(days=age + 0.5))}-{age:08x}" for age in range(count)]


def put_backups(store, database, ids):
    for backup_id in ids:
        for name in ("archive.dump.zst", "manifest.json"):
            store.put(f"acme/{database}/logical/{backup_id}/{name}", b"data")


def stored(store, database):
    return [backup.backup_id for backup in catalog.list_backups(store, "acme", database)]


def test_a_plan_is_exactly_what_the_real_run_deletes(rclone, retain):
    store, policy, ids = rclone.store("exact"), rclone.policy("exact"), backup_ids(30)
    put_backups(store, "shop", ids)
    put_backups(store, "other", ids[:5])
    now = utc_now()
    said = {"manifest_sha256": "", "reason": "audit", "who": "me", "at": now}
    records.put_hold(store, "acme", "shop", records.Hold(backup_id=ids[29], **said))
    for run_id in ("a", "b"):
        store.put(f"acme/history/plans/2026/01/02/20260102T000000Z-{run_id}.jsonl", b"{}\n")
    planned = retain(policy).result()
    assert planned.dry_run
    assert stored(store, "shop") == sorted(ids), "a plan deletes nothing"
    real = retain(policy, dry_run=False)
    done = real.result()
    assert [one.model_dump() for one in done.decisions] == [one.model_dump() for one in planned.decisions]
    kept = {(one.backup.database, one.backup.backup_id) for one in planned.decisions if one.keep}
    assert kept == {(name, one) for name in ("shop", "other") for one in stored(store, name)}
    # At midnight there are two: that of the plan's evidence has passed as well.
    assert re.fullmatch(r"([12]) of \1 past days of history compacted", done.checks[-1].message)
    assert len(list(store.list("acme/history/plans/"))) == 1
    doomed = [f"{one.backup.database} {one.backup.backup_id}" for one in planned.decisions if not one.keep]
    assert [check.target for check in deletions(real)] == doomed
    assert ids[29] in stored(store, "shop")
    assert {key.split("/")[3] for key in (item.key for item in store.list("acme/shop/logical/"))} == {
        backup_id for name, backup_id in kept if name == "shop"
    }


def test_a_year_of_backups_is_planned_with_few_requests(acme, s3_credentials, tmp_path):
    started = utc_now()
    for number in range(2000):
        taken = stamp(started - timedelta(hours=4 * number))
        folder = tmp_path / "objects" / "bucket" / "acme" / "shop" / "logical" / f"{taken}-{number:08x}"
        folder.mkdir(parents=True)
        for name in ("archive.dump.zst", "manifest.json"):
            (folder / name).touch()
    with rclone_server(tmp_path / "objects") as server, faulty_store(server.endpoint) as proxy:
        acme(server.policy("", proxy.endpoint))
        with begin("backup_retention", "acme") as run:
            decisions = make_plan.fn(run)
    assert len(decisions) == 2000
    # A page for each month, the names of systems, kinds and backups, receipts and holds; none for each backup.
    assert len(proxy.seen) <= 12 + 8, proxy.seen


@pytest.mark.parametrize("lock", ["retention", "legal hold"])
def test_a_backup_under_object_lock_is_kept_whole_and_the_others_are_deleted(moto, retain, lock):
    prefix, ids = f"retain/{lock.split()[0]}", backup_ids(40)
    store, client = moto.store(prefix), moto.client()
    put_backups(store, "shop", [ids[0], ids[35], ids[38]])
    place = {"Bucket": moto.bucket, "Key": f"{prefix}/acme/shop/logical/{ids[35]}/archive.dump.zst"}
    if lock == "retention":
        until = utc_now() + timedelta(days=1)
        client.put_object_retention(**place, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    else:
        client.put_object_legal_hold(**place, LegalHold={"Status": "ON"})
    state = retain(moto.policy(prefix), dry_run=False)
    assert state.name == "With warnings"
    deleted, kept = deletions(state)
    assert (kept.verdict, kept.target) == (Verdict.WARN, f"shop {ids[35]}")
    assert "archive.dump.zst is under object lock" in kept.message
    assert deleted.verdict is Verdict.OK
    assert stored(store, "shop") == [ids[35], ids[0]]


@pytest.mark.parametrize("refused", ["manifest.json", "archive.dump.zst"])
def test_a_run_without_rights_on_one_object_goes_on_with_the_others(rclone, retain, refused):
    prefix, ids = f"rights/{refused}", backup_ids(40)
    store = rclone.store(prefix)
    put_backups(store, "shop", [ids[0], ids[35], ids[38]])
    with faulty_store(rclone.endpoint) as proxy:
        proxy.fault = always(deny, lambda one: one.method == "DELETE" and f"{ids[38]}/{refused}" in one.path)
        state = retain(rclone.policy(prefix, proxy.endpoint), dry_run=False)
    assert state.name == "With warnings"
    first, second = deletions(state)
    assert (first.verdict, second.verdict) == (Verdict.WARN, Verdict.OK)
    assert f"{ids[38]}/{refused} (AccessDenied); check key, secret and policy" in first.message
    if refused == "manifest.json":
        assert first.message.startswith("kept: ")
        assert stored(store, "shop") == [ids[38], ids[0]]
    else:
        assert first.message.startswith("no backup any more, but 1 of its objects are kept: ")
        assert catalog.unfinished(store, "acme", "shop", utc_now() + timedelta(hours=1)) == [
            f"acme/shop/logical/{ids[38]}"
        ]


def test_a_store_that_dies_ends_the_run_and_says_what_was_not_tried(rclone, retain):
    prefix, ids = "dying", backup_ids(40)
    store = rclone.store(prefix)
    put_backups(store, "shop", [ids[0], *ids[30:]])
    with faulty_store(rclone.endpoint) as proxy:
        proxy.fault = always(drop, lambda one: one.method == "DELETE" and ids[38] in one.path)
        state = retain(rclone.policy(prefix, proxy.endpoint), dry_run=False)
    assert state.is_failed()
    with pytest.raises(NightshiftError, match=r"not wholly deleted: cannot delete .*; 8 more were not tried, run it"):
        state.result()
    assert stored(store, "shop") == [*reversed(ids[30:39]), ids[0]]
