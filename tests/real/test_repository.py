"""What a repository promises, on a local folder, on rclone's S3 server and on moto's."""

import os
from datetime import timedelta

import pytest

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, MissingError, RefusedError, UnreachableError
from tasks.repository import s3_upload
from tasks.repository.local import LocalStore
from tasks.repository.probe import probe
from tests.real.stores import rclone_server

PART = s3_upload.FIRST_PART_BYTES
AWKWARD = ["plain", "with space", "großer Käse", "日本語", "plus+and%25percent", "quote'\"&<>", "a.b-c_d=e,f;g@h"]


@pytest.fixture(params=["local", "rclone", "moto", "moto plain"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(str(tmp_path / "repository"))
    server = request.getfixturevalue(request.param.split()[0])
    if request.param == "moto plain":
        server = type(server)(server.endpoint, "plain")
    return server.store()


def keys(store, prefix=""):
    return [item.key for item in store.list(prefix)]


def write_and_raise(store, key, size, error):
    with store.writing(key) as sink:
        sink.write(bytes(size))
        raise error


def read_and_raise(store, key, error):
    with store.reading(key) as source:
        source.read(1)
        raise error


def test_what_was_put_is_read_listed_and_deleted(store):
    store.put("a/b/first", b"one")
    store.put("a/second", b"")
    store.put("a/b/first", b"changed")
    assert store.get("a/b/first") == b"changed"
    assert store.get("a/second") == b""
    assert store.stat("a/b/first").size_bytes == 7
    assert abs(store.stat("a/b/first").modified_at - utc_now()) < timedelta(minutes=10)
    assert [(item.key, item.size_bytes) for item in store.list("a/")] == [("a/b/first", 7), ("a/second", 0)]
    store.delete("a/b/first")
    store.delete("a/b/first")
    assert keys(store) == ["a/second"]


def test_what_is_missing_is_named(store):
    for ask in (store.get, store.stat, lambda key: store.reading(key).__enter__()):
        with pytest.raises(MissingError, match="object none/such is missing in "):
            ask("none/such")
    assert keys(store, "none/") == []
    assert store.folders("none/") == []
    store.delete("none/such")
    assert not store.is_locked("none/such")


def test_a_range_is_read_and_is_empty_behind_the_end(store):
    store.put("ten", b"0123456789")
    expected = {(0, None): b"0123456789", (3, None): b"3456789", (3, 4): b"3456", (8, 9): b"89", (10, 5): b""}
    for (offset, length), data in expected.items():
        with store.reading("ten", offset, length) as source:
            assert source.read() == data
    with store.reading("ten", 2, 6) as source:
        assert [source.read(4), source.read(4), source.read(4)] == [b"2345", b"67", b""]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART + 5])
def test_a_streamed_object_is_what_was_written(store, size):
    data = os.urandom(size)
    with store.writing("stream/object") as sink:
        for start in range(0, size, 3 * 1024 * 1024):
            assert sink.write(memoryview(data)[start : start + 3 * 1024 * 1024]) > 0
        assert keys(store, "stream/") == []
    assert store.stat("stream/object").size_bytes == size
    assert store.get("stream/object") == data


def test_parts_grow_with_the_object(store, monkeypatch):
    monkeypatch.setattr(s3_upload, "PARTS_PER_SIZE", 2)
    monkeypatch.setattr(s3_upload, "FIRST_PART_BYTES", 5 * 1024 * 1024)
    data = os.urandom(45 * 1024 * 1024)
    with store.writing("large") as sink:
        sink.write(data)
    assert store.get("large") == data


@pytest.mark.parametrize("size", [10, PART + 10])
@pytest.mark.parametrize(
    "error", [BrokenPipeError("pg_dump"), UnreachableError("the database"), KeyboardInterrupt()], ids=repr
)
def test_a_write_that_raises_leaves_nothing_and_its_error_passes_through(store, size, error):
    with pytest.raises(type(error)) as raised:
        write_and_raise(store, "folder/half", size, error)
    assert raised.value is error
    assert keys(store) == []
    assert list(store.abort_stale_uploads("", utc_now() + timedelta(hours=1))) == []


def test_an_abandoned_overwrite_leaves_the_former_object(store):
    store.put("object", b"former")
    with pytest.raises(ValueError, match="body"):
        write_and_raise(store, "object", PART + 1, ValueError("body"))
    assert store.get("object") == b"former"


def test_an_error_of_the_reader_passes_through(store):
    store.put("object", b"data")
    full = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left") as raised:
        read_and_raise(store, "object", full)
    assert raised.value is full


def test_a_key_is_written_once_when_asked_so(store):
    store.put("manifest", b"first", only_if_absent=True)
    with pytest.raises(RefusedError, match=r"manifest exists already in .* and is never overwritten"):
        store.put("manifest", b"second", only_if_absent=True)
    assert store.get("manifest") == b"first"


def test_awkward_keys_are_keys(store):
    wanted = sorted(f"{folder}/{name}" for folder, name in zip(AWKWARD, reversed(AWKWARD), strict=True))
    for key in wanted:
        store.put(key, key.encode())
    assert keys(store) == wanted
    assert store.folders("") == sorted(AWKWARD)
    for folder in AWKWARD:
        assert keys(store, f"{folder}/") == [key for key in wanted if key.startswith(f"{folder}/")]
    for key in wanted:
        assert store.get(key) == key.encode()
        store.delete(key)
    assert keys(store) == []


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/passwd", "a//b", "a/./b", "a/", "."])
def test_a_key_that_leaves_the_repository_is_refused(store, key):
    for call in (
        lambda: store.put(key, b""),
        lambda: store.get(key),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.writing(key).__enter__(),
    ):
        with pytest.raises(ConfigurationError, match="is no key of a repository"):
            call()
    assert keys(store) == []


def test_folders_are_named_without_listing_them(store):
    for key in ("s/a/logical/1/x", "s/a/base/1/x", "s/b/logical/1/x", "s/file", "t/c/x"):
        store.put(key, b"")
    assert store.folders("s/") == ["a", "b"]
    assert store.folders("s/a/") == ["base", "logical"]
    assert keys(store, "s/a/l") == ["s/a/logical/1/x"]
    assert [item.key for item in store.list("s/", after="s/a/logical/1/x")] == ["s/b/logical/1/x", "s/file"]


def test_a_listing_has_all_pages(s3_credentials, tmp_path):
    folder = tmp_path / "objects" / "bucket" / "many" / "deep"
    folder.mkdir(parents=True)
    for number in range(2500):
        (folder / f"{number:05}").touch()
    with rclone_server(tmp_path / "objects") as server:
        store = server.store("many")
        listed = keys(store, "deep/")
        assert listed == [f"deep/{number:05}" for number in range(2500)]
        assert [item.key for item in store.list("deep/", after="deep/01999")] == listed[2000:]
    assert keys(LocalStore(str(folder.parent)), "deep/") == listed


def test_the_probe_says_what_each_store_does(store, request):
    kind = request.node.callspec.params["store"]
    seen = probe(store)
    assert seen.write_once is (kind != "rclone")
    assert seen.object_lock is False
    assert keys(store) == []


def test_the_probe_sees_a_default_retention(moto):
    client = moto.client()
    client.create_bucket(Bucket="retaining", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket="retaining", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    store = type(moto)(moto.endpoint, "retaining").store()
    assert probe(store).object_lock is True
    assert [key.startswith(".probe/") for key in keys(store)] == [True]


@pytest.mark.parametrize("lock", ["retention", "legal hold"])
def test_a_locked_object_is_not_deleted_and_says_so(moto, lock):
    store, client = moto.store("locks"), moto.client()
    store.put(lock, b"data")
    if lock == "retention":
        client.put_object_retention(
            Bucket=moto.bucket,
            Key=f"locks/{lock}",
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": utc_now() + timedelta(days=1)},
        )
    else:
        client.put_object_legal_hold(Bucket=moto.bucket, Key=f"locks/{lock}", LegalHold={"Status": "ON"})
    assert store.is_locked(lock)
    with pytest.raises(RefusedError, match=f"{lock} in .* is under object lock and is kept"):
        store.delete(lock)
    assert store.get(lock) == b"data"
    if lock == "legal hold":
        client.put_object_legal_hold(Bucket=moto.bucket, Key=f"locks/{lock}", LegalHold={"Status": "OFF"})
        store.delete(lock)
        assert lock not in keys(store)


def test_deleting_removes_every_version(moto):
    store, client = moto.store("versions"), moto.client()
    for number in range(3):
        store.put("key", b"%d" % number)
        store.put("key2", b"%d" % number)
    client.delete_object(Bucket=moto.bucket, Key="versions/key")
    store.put("key", b"again")
    store.delete("key")
    left = client.list_object_versions(Bucket=moto.bucket, Prefix="versions/")
    assert {item["Key"] for item in left["Versions"]} == {"versions/key2"}
    assert "DeleteMarkers" not in left
    assert store.get("key2") == b"2"


def began_now(parsed, **_):
    for upload in parsed.get("Uploads", []):
        upload["Initiated"] = utc_now()


def test_a_stale_upload_is_aborted_and_a_young_one_is_not(moto):
    store, client = moto.store("stale"), moto.client()
    for key in ("stale/a/object", "other/object"):
        upload = client.create_multipart_upload(Bucket=moto.bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=moto.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    # moto says of every upload that it began in 2010.
    store.client.meta.events.register("after-call.s3.ListMultipartUploads", began_now)
    assert list(store.abort_stale_uploads("a/", utc_now() - timedelta(hours=1))) == []
    assert list(store.abort_stale_uploads("a/", utc_now() + timedelta(hours=1))) == ["a/object"]
    assert list(store.abort_stale_uploads("a/", utc_now() + timedelta(hours=1))) == []
    left = client.list_multipart_uploads(Bucket=moto.bucket)["Uploads"]
    assert "other/object" in {upload["Key"] for upload in left}
