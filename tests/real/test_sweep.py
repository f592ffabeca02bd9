"""What killed runs left is swept by age; what is young, finished, another's or in progress is not."""

from datetime import timedelta

import pytest

from tasks.base.clock import stamp, utc_now
from tasks.repository import catalog, s3_upload
from tasks.repository.local import LocalStore
from tests.real.faulty import always, deny, faulty_store

NOW = utc_now()
HOUR = timedelta(hours=1)


@pytest.fixture(params=["local", "rclone", "moto"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(str(tmp_path / "repository"))
    return request.getfixturevalue(request.param).store()


def prefix_of(taken_at, run_id="00000001", database="shop"):
    return f"acme/{database}/logical/{stamp(taken_at)}-{run_id}"


def put(store, prefix, *names):
    for name in names:
        store.put(f"{prefix}/{name}", b"data")
    return prefix


def sweep(store, older_than, own_run_id="ffffffff"):
    return catalog.sweep(store, "acme", "shop", older_than, own_run_id)


def prefixes(store):
    return sorted({item.key.rsplit("/", 1)[0] for item in store.list("acme/")})


def test_only_what_is_old_unfinished_and_of_this_database_is_swept(store):
    old, young = NOW - timedelta(days=2), NOW + 2 * HOUR
    doomed = put(store, prefix_of(old), "globals.sql.zst", "archive.dump.zst")
    kept = [
        put(store, prefix_of(old, "00000002"), "archive.dump.zst", "manifest.json"),
        put(store, prefix_of(old, "00000003", "other"), "archive.dump.zst"),
        put(store, prefix_of(young, "00000004"), "archive.dump.zst"),
        put(store, "acme/shop/receipts", "archive.dump.zst"),
        put(store, "acme/shop/logical/by-hand", "archive.dump.zst"),
    ]
    own = put(store, prefix_of(NOW, "ffffffff"), "archive.dump.zst")
    assert sweep(store, utc_now() - HOUR) == [own], "an earlier try of this very run; all else has young objects"
    assert sweep(store, utc_now() - HOUR) == [], "its objects are young, whatever its name says"
    assert sweep(store, utc_now() + HOUR) == [doomed]
    assert prefixes(store) == sorted(kept)
    assert sweep(store, utc_now() + HOUR) == []


def test_what_another_run_is_writing_is_not_swept(store, monkeypatch):
    monkeypatch.setattr(s3_upload, "FIRST_PART_BYTES", 16 * 1024)
    if hasattr(store, "client"):
        # moto says of every upload that it began in 2010.
        store.client.meta.events.register("after-call.s3.ListMultipartUploads", began_now)
    prefix = prefix_of(NOW - timedelta(days=2))
    with store.writing(f"{prefix}/archive.dump.zst") as sink:
        sink.write(bytes(40 * 1024))
        put(store, prefix, "globals.sql.zst")
        assert sweep(store, utc_now() - HOUR) == []
        sink.write(bytes(40 * 1024))
    store.put(f"{prefix}/manifest.json", b"{}", only_if_absent=True)
    assert [backup.prefix for backup in catalog.list_backups(store, "acme")] == [prefix]
    assert store.stat(f"{prefix}/archive.dump.zst").size_bytes == 80 * 1024


def began_now(parsed, **_):
    for upload in parsed.get("Uploads", []):
        upload["Initiated"] = utc_now()


def test_an_upload_of_a_killed_run_is_aborted_when_it_is_old(store, monkeypatch):
    monkeypatch.setattr(s3_upload, "FIRST_PART_BYTES", 16 * 1024)
    if isinstance(store, LocalStore):
        folder = store.folder / prefix_of(NOW)
        folder.mkdir(parents=True)
        (folder / ".unfinished-0123456789abcdef").write_bytes(b"half")
    else:
        upload = s3_upload.Upload(store, f"{prefix_of(NOW)}/archive.dump.zst")
        upload.write(bytes(40 * 1024))
        store.client.meta.events.register("after-call.s3.ListMultipartUploads", began_now)
    assert sweep(store, utc_now() - HOUR) == []
    assert [key.rsplit("/", 1)[0] for key in sweep(store, utc_now() + HOUR)] == [prefix_of(NOW)]
    assert sweep(store, utc_now() + HOUR) == []


def test_what_may_not_be_removed_stops_no_backup_and_is_said(moto, rclone, caplog):
    store, client = moto.store("sweep"), moto.client()
    prefix = put(store, prefix_of(NOW), "archive.dump.zst")
    key = f"sweep/{prefix}/archive.dump.zst"
    client.put_object_legal_hold(Bucket=moto.bucket, Key=key, LegalHold={"Status": "ON"})
    other = put(store, prefix_of(NOW, "00000002"), "archive.dump.zst")
    assert sweep(store, utc_now() + HOUR) == [other]
    assert f"tried again by the next run: {prefix}/archive.dump.zst in s3://locking/sweep is under object lock" in (
        caplog.text
    )
    with faulty_store(rclone.endpoint) as proxy:
        # A key that may write and list only.
        proxy.fault = always(deny, lambda one: one.method == "DELETE" or "uploads" in one.path)
        store = rclone.store("sweep", proxy.endpoint)
        put(store, prefix_of(NOW), "archive.dump.zst")
        assert sweep(store, utc_now() + HOUR) == []
    assert "(AccessDenied); check key, secret and policy" in caplog.text
