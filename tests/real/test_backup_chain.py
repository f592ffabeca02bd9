"""Backup, verification and restore test, end to end on a real PostgreSQL and a real Prefect server."""

import json
from datetime import timedelta

import httpx
import psycopg
import pytest
from prefect.logging.handlers import APILogWorker

from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.restore_test import restore_test
from tasks.base.errors import ConfigurationError, CorruptError, NightshiftError
from tasks.base.words import Verdict
from tasks.postgres.lock import _LOCK
from tasks.repository import catalog, records
from tasks.repository.local import LocalStore
from tests.real.conftest import SAMPLE_ROWS, SAMPLE_TABLES, write_system


@pytest.fixture
def backup(system):
    """A finished backup of the sample database; its repository and manifest."""
    result = database_backup("acme")
    assert result.verdict is Verdict.OK, result.headline
    return LocalStore(str(system)), result.backups[0]


def log_of_the_newest_run(prefect_url):
    """What the UI shows as the log of the run that ended last; those that a schedule planned have not begun."""
    APILogWorker.drain_all(timeout=120)
    ended = {"state": {"type": {"any_": ["COMPLETED"]}}}
    (run,) = asked(f"{prefect_url}/api/flow_runs/filter", flow_runs=ended, sort="END_TIME_DESC", limit=1)
    logs = asked(f"{prefect_url}/api/logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}}, sort="TIMESTAMP_ASC")
    return [line["message"] for line in logs]


def asked(url, **query):
    return httpx.post(url, json=query, timeout=30).raise_for_status().json()


def test_a_backup_is_verified_restored_and_proven(backup, prefect_url):
    store, manifest = backup
    assert (manifest.tables, manifest.rows) == (SAMPLE_TABLES, SAMPLE_ROWS)
    assert backup_verification("acme").verdict is Verdict.OK
    result = restore_test("acme")
    receipt = result.receipts[0]
    assert receipt.proven == "proven", result.headline
    climbed = ["hash and decrypt", "table of contents", "sandbox start", "globals", "database", "restore"]
    assert [rung.name for rung in receipt.rungs] == [*climbed, "fingerprint", "RTO", "amcheck"]
    assert all(rung.duration_seconds is not None for rung in receipt.rungs)
    assert receipt.rto_seconds > 0
    assert receipt.manifest_sha256 == catalog.manifest_sha256(store, manifest.prefix)
    assert records.proven_backup_ids(store, "acme", "shop") == [manifest.backup_id]
    shown = "\n".join(log_of_the_newest_run(prefect_url))
    for rung in receipt.rungs:
        assert f"{manifest.backup_id}: {rung.name} OK after " in shown


def test_no_secret_is_in_any_object(backup, identity):
    store, _ = backup
    for item in store.list():
        data = store.get(item.key)
        assert b"planted-role-password" not in data, item.key
        assert str(identity).encode() not in data, item.key
        assert b"kinds" not in data, f"{item.key} names a table in clear"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: data[:-10],
        lambda _data: None,
    ],
    ids=["flipped bit", "truncated", "missing"],
)
@pytest.mark.parametrize("role", ["archive", "toc", "globals", "fingerprint"])
def test_damage_is_found_and_its_place_is_named(system, backup, role, change):
    store, manifest = backup
    key = manifest.file(role).key
    changed = change(store.get(key))
    if changed is None:
        store.delete(key)
    else:
        store.put(key, changed)
    with pytest.raises(NightshiftError, match=key):
        backup_verification("acme")


def test_a_manifest_that_was_changed_is_told_from_one_that_is_newer(backup):
    store, manifest = backup
    key, written = f"{manifest.prefix}/{catalog.MANIFEST}", manifest.model_dump(mode="json")
    elsewhere = [{**written["files"][0], "key": "other/archive.dump"}, *written["files"][1:]]
    for change, error, sentence in (
        ({"format_version": 2}, ConfigurationError, "has format 2, which a newer Nightshift wrote; install that one"),
        ({"files": written["files"][1:]}, CorruptError, "names no archive: it was changed"),
        ({"files": elsewhere}, CorruptError, "names other/archive.dump, which is not of this backup"),
        ({"snapshot_at": "2026-01-01T00:00:00"}, CorruptError, r"no valid manifest \(at 'snapshot_at'\)"),
    ):
        store.put(key, json.dumps(written | change).encode())
        with pytest.raises(error, match=sentence):
            catalog.load_manifest(store, manifest.prefix)


def test_a_backup_dated_in_the_future_is_red_because_it_hides_the_others(backup, monkeypatch):
    from tasks.postgres.backup import verification

    monkeypatch.setattr(verification, "utc_now", lambda: backup[1].snapshot_at - timedelta(hours=2))
    with pytest.raises(NightshiftError, match=r"is dated 2\.0 h in the future and hides the backups of today"):
        backup_verification("acme")


def test_what_was_read_lately_is_verified_by_its_metadata_until_it_changes(system, shop, identity, backup, tmp_path):
    store, manifest = backup
    policy = {"identity": "env:ACME_IDENTITY", "reread_after_days": 7}
    write_system(tmp_path / "systems", shop, system, str(identity.to_public()), verification=policy)
    first = answers(backup_verification("acme"))
    store.put("acme/shop/verifications/20991231T000000Z-cut.json", b"")  # it says nothing, and is in nobody's way
    second = answers(backup_verification("acme"))
    assert first["stored archive"] == "hash re-read"
    assert first["archive lists"] == "decrypted and listed"
    assert second["stored archive"] == "size only; its hash was read lately"
    assert second["archive lists"] == "not again; it was listed lately"
    key = manifest.file("globals").key
    store.put(key, bytes(len(store.get(key))))
    with pytest.raises(NightshiftError, match=f"{key} has SHA-256"):
        backup_verification("acme")


def answers(result):
    return {check.name: check.message for check in result.checks}


def test_a_wrong_key_is_named(backup, monkeypatch):
    import pyrage

    monkeypatch.setenv("ACME_IDENTITY", str(pyrage.x25519.Identity.generate()))
    with pytest.raises(NightshiftError, match="the identity does not open"):
        restore_test("acme")


def test_an_unknown_system_and_database_are_named(system):
    with pytest.raises(NightshiftError, match=r"unknown system 'nowhere'.*known are: acme"):
        database_backup("nowhere")
    with pytest.raises(NightshiftError, match=r"has no database 'none'; it has: shop"):
        database_backup("acme", ["none"])


def test_nothing_to_verify_is_red(system):
    with pytest.raises(NightshiftError, match="no finished backup of 'shop'"):
        backup_verification("acme")


def test_a_second_backup_is_refused_and_the_holder_named(system, shop):
    with psycopg.connect(shop, autocommit=True, application_name="nightshift:backup:other:run1") as holder:
        holder.execute("SELECT pg_advisory_lock(%(classid)s, %(objid)s)", _LOCK)
        with pytest.raises(NightshiftError, match="locked by nightshift:backup:other:run1"):
            database_backup("acme")
