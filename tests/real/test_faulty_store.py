"""A store that fails: one clear sentence, a retry where it helps, nothing half, and an end in bounded time."""

import os
import time
from datetime import timedelta

import psycopg
import pytest
from botocore.retries.standard import ExponentialBackoff

from deployments.demo.servers import free_port
from tasks.base.backup import BackupPolicy
from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, CorruptError, MissingError, RefusedError, UnreachableError
from tasks.base.system import Database, RepositoryPolicy
from tasks.postgres.backup.logical import back_up
from tasks.repository import catalog, s3_client, s3_upload
from tasks.repository.opening import open_store
from tasks.repository.streams import fetching, storing
from tests.real.faulty import (
    Exchange,
    always,
    busy,
    deny,
    drop,
    faulty_store,
    from_the,
    hanging,
    in_turn,
    lose_the_answer,
    times,
)

PART = 32 * 1024
LARGE = os.urandom(2 * PART + 100)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The waits between boto's tries are its own business; here only their number counts. And small parts."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(s3_upload, "FIRST_PART_BYTES", PART)
    started = time.monotonic()
    yield
    # One answer that is waited for without our limit takes a minute, and there are four tries.
    assert time.monotonic() - started < 120


@pytest.fixture(params=["rclone", "moto"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxy(server):
    with faulty_store(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def stores(server, proxy, request):
    """The same prefix through the proxy and past it."""
    prefix = f"faulty/{abs(hash(request.node.name))}"
    return server.store(prefix, proxy.endpoint), server.store(prefix)


def is_read(exchange):
    return exchange.method == "GET"


def is_part(exchange):
    return exchange.is_part


def is_completion(exchange):
    return exchange.method == "POST" and "uploadId=" in exchange.path


def is_put(exchange):
    return exchange.method == "PUT"


def write(store, data=LARGE):
    with store.writing("a/object") as sink:
        sink.write(data)


def left(store):
    """Every key and every upload that a later run would find."""
    uploads = store.abort_stale_uploads("", utc_now() + timedelta(hours=1))
    return [item.key for item in store.list()], list(uploads)


@pytest.mark.parametrize("request_number", range(1, 6))
def test_an_endpoint_that_dies_in_an_upload_leaves_nothing_visible(proxy, stores, request_number):
    # create, two whole parts, the rest, complete
    through, past = stores
    proxy.fault = from_the(request_number, drop)
    with pytest.raises(
        UnreachableError, match=r"cannot write a/object in s3://.* at http://.*; look whether the store"
    ):
        write(through)
    assert [item.key for item in past.list()] == []
    past.abort_stale_uploads("", utc_now() + timedelta(hours=1))
    assert left(past) == ([], [])


@pytest.mark.parametrize("fault", [busy, drop, deny], ids=["503", "dropped", "403"])
def test_an_upload_that_fails_is_aborted(proxy, stores, fault):
    through, past = stores
    proxy.fault = always(fault, lambda exchange: exchange.is_part and "partNumber=2" in exchange.path)
    with pytest.raises((UnreachableError, RefusedError), match="write a/object"):
        write(through)
    assert ("DELETE" in [method for method, path in proxy.seen if "uploadId=" in path]) is True
    assert left(past) == ([], [])


def is_any(exchange):
    return True


@pytest.mark.parametrize("when", [is_part, is_completion, is_put, is_read, is_any])
def test_a_fault_that_passes_is_healed_by_trying_again(proxy, stores, when):
    through, past = stores
    proxy.fault = in_turn(times(1, busy, when), times(1, drop, when))
    write(through)
    assert through.get("a/object") == LARGE
    assert left(past) == (["a/object"], [])


def test_a_lost_answer_is_no_failure(proxy, stores):
    through, _ = stores
    proxy.fault = times(1, lose_the_answer, is_completion)
    write(through)
    assert through.get("a/object") == LARGE
    proxy.fault = times(1, lose_the_answer, is_put)
    through.put("manifest", b"first", only_if_absent=True)
    with pytest.raises(RefusedError, match="exists already"):
        through.put("manifest", b"second", only_if_absent=True)
    assert through.get("manifest") == b"first"


CALLS = {
    "put": lambda store: store.put("key", b"data"),
    "put once": lambda store: store.put("key", b"data", only_if_absent=True),
    "get": lambda store: store.get("key"),
    "stat": lambda store: store.stat("key"),
    "list": lambda store: list(store.list("s/")),
    "folders": lambda store: store.folders("s/"),
    "delete": lambda store: store.delete("key"),
    "locked": lambda store: store.is_locked("key"),
    "sweep": lambda store: store.abort_stale_uploads("s/", utc_now()),
    "write": write,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_store_that_is_always_busy_is_unreachable_after_four_tries(proxy, stores, call):
    proxy.fault = always(busy)
    with pytest.raises(UnreachableError, match=r"in s3://.*: the store answered (SlowDown|503); try again"):
        call(stores[0])
    assert len(proxy.seen) == 4


@pytest.mark.parametrize("call", [call for name, call in CALLS.items() if name not in ("locked", "delete")])
def test_a_refused_key_is_said_once_and_not_tried_again(proxy, stores, call):
    proxy.fault = always(deny)
    with pytest.raises(RefusedError, match=r"refuses to .* \((AccessDenied|403)\); check key, secret and policy"):
        call(stores[0])
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "parts"])
def test_a_store_that_lies_about_a_size_is_not_believed(proxy, stores, data):
    through, past = stores

    def lie(exchange):
        exchange.forward()
        exchange.headers["Content-Length"] = str(len(data) - 1)

    proxy.fault = always(lie, lambda exchange: exchange.method == "HEAD")
    with pytest.raises(CorruptError, match=rf"says a/object has {len(data) - 1} bytes, {len(data)} were sent"):
        write(through, data)
    assert left(past) == ([], [])
    with pytest.raises(CorruptError, match="says manifest has"):
        through.put("manifest", data)
    assert left(past) == ([], [])


@pytest.mark.parametrize("recipient", [True, False], ids=["encrypted", "clear"])
def test_a_read_that_breaks_off_is_unreachable_and_not_damage(proxy, stores, identity, recipient):
    through, past = stores
    recipients = [str(identity.to_public())] if recipient else []
    with storing(past, "object", level=1, threads=0, recipients=recipients) as stream:
        stream.write(LARGE)

    def break_off(exchange):
        exchange.forward()
        exchange.cut = PART

    proxy.fault = times(1, break_off, is_read)

    def fetch():
        with fetching(
            through,
            "object",
            identity=str(identity),
            encrypted=recipient,
            sha256=stream.summary.sha256,
            size_bytes=stream.summary.size_bytes,
        ) as source:
            while source.read(1_000_000):
                pass

    with pytest.raises(UnreachableError, match="cannot read on in object"):
        fetch()
    fetch()


def test_a_store_that_hangs_is_given_up(proxy, server, monkeypatch):
    monkeypatch.setattr(s3_client, "_READ_TIMEOUT_SECONDS", 0.3)
    with hanging(proxy), pytest.raises(UnreachableError, match="ReadTimeoutError; look whether the store runs"):
        server.store("faulty", proxy.endpoint).put("key", b"data")


def test_an_answer_that_is_not_s3_is_one_sentence(proxy, stores):
    def gateway(exchange):
        exchange.status, exchange.data = 200, b"<html><body>Welcome to nginx!</body>"

    proxy.fault = always(gateway)
    with pytest.raises(UnreachableError, match=r"cannot list s/ in s3://.*: the store answered 500; try again"):
        list(stores[0].list("s/"))


def test_nobody_there_is_one_sentence(server):
    with pytest.raises(UnreachableError, match=r"cannot write key in s3://.* at http://127.0.0.1:\d+: EndpointConnect"):
        server.store("x", f"http://127.0.0.1:{free_port()}").put("key", b"data")


def test_a_missing_bucket_is_named(server):
    store = type(server)(server.endpoint, "no-such-bucket").store()
    for call in (CALLS["put"], CALLS["put once"], CALLS["get"], CALLS["list"], CALLS["write"]):
        with pytest.raises(MissingError, match=r"the bucket of s3://no-such-bucket/.* does not exist at .*; create it"):
            call(store)


def test_a_wrong_secret_and_no_key_at_all_are_told_apart(rclone, monkeypatch):
    monkeypatch.setenv("TEST_S3_SECRET", "another-secret")
    with pytest.raises(RefusedError, match="check key, secret and policy") as raised:
        rclone.store().put("key", b"data")
    assert "another-secret" not in str(raised.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bare = {name: value for name, value in rclone.policy("x").items() if name in ("url", "endpoint")}
    with pytest.raises(ConfigurationError, match=r"there is no access key; set repository\.access_key_id"):
        open_store(RepositoryPolicy(**bare)).put("key", b"data")


def dump(shop, store, run_id):
    policy = BackupPolicy(unfinished_after_hours=1e-6)
    return back_up("acme", Database(name="shop", dsn=shop), policy, store, run_id, lambda *_: None)


def writes(exchange):
    return exchange.method in ("PUT", "POST")


def is_manifest(exchange):
    return writes(exchange) and exchange.path.endswith("manifest.json")


@pytest.mark.parametrize(
    ("fault", "when"),
    [(drop, writes), (drop, is_part), (deny, is_completion), (busy, is_manifest), (drop, is_manifest)],
)
def test_a_backup_into_a_store_that_fails_is_no_backup_and_the_next_one_sweeps(moto, shop, when, fault):
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("CREATE TABLE noise AS SELECT gen_random_uuid() FROM generate_series(1, 10000)")
    prefix = f"chain/{fault.__name__}/{when.__name__}"
    past = moto.store(prefix)
    with faulty_store(moto.endpoint) as proxy:
        # Not the first part, so that something lies there.
        proxy.fault = in_turn(times(when is is_part, Exchange.forward, when), always(fault, when))
        with pytest.raises((UnreachableError, RefusedError), match="s3://"):
            dump(shop, moto.store(prefix, proxy.endpoint), "00000001")
    assert catalog.list_backups(past, "acme") == []
    manifest = dump(shop, past, "00000002")
    assert [backup.backup_id for backup in catalog.list_backups(past, "acme")] == [manifest.backup_id]
    keys, uploads = left(past)
    assert {key.rsplit("/", 1)[0] for key in keys if key.startswith("acme/")} == {manifest.prefix}
    assert uploads == []
