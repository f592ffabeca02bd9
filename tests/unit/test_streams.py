"""Streams: what was stored comes back, and no damage of what is stored goes unnoticed."""

import os
import random
import subprocess
import sys
import threading

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.errors import ConfigurationError, CorruptError, StoppedError, UnreachableError
from tasks.repository.local import LocalStore
from tasks.repository.streams import CHUNK_BYTES, fetching, key_suffix, stored_hash, storing

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(3)]
RECIPIENTS = [str(identity.to_public()) for identity in IDENTITIES]
AGE_CHUNK = 64 * 1024
EDGES = [0, 1, AGE_CHUNK - 1, AGE_CHUNK, AGE_CHUNK + 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return LocalStore(str(tmp_path_factory.mktemp("streams")))


def keep(store, data, recipients=(), key="object", threads=2):
    with storing(store, key, level=1, threads=threads, recipients=recipients) as stream:
        for start in range(0, len(data), 300_000):
            stream.write(memoryview(data)[start : start + 300_000])
    return stream.summary


def fetch(store, summary, identity=None, *, encrypted=None):
    parts = []
    with fetching(
        store,
        summary.key,
        identity=None if identity is None else str(identity),
        encrypted=identity is not None if encrypted is None else encrypted,
        sha256=summary.sha256,
        size_bytes=summary.size_bytes,
    ) as source:
        while chunk := source.read(100_000):
            parts.append(chunk)
    return b"".join(parts)


@given(
    size=st.sampled_from(EDGES) | st.integers(0, 400_000),
    seed=st.integers(),
    compressible=st.booleans(),
    recipients=st.integers(0, 3),
    threads=st.sampled_from([0, 2]),
)
@settings(max_examples=60, deadline=None)
def test_what_was_stored_comes_back_to_each_recipient(store, size, seed, compressible, recipients, threads):
    data = bytes([seed % 256]) * size if compressible else random.Random(seed).randbytes(size)
    summary = keep(store, data, RECIPIENTS[:recipients], threads=threads)
    assert summary.raw_bytes == size
    assert stored_hash(store, "object") == (summary.sha256, summary.size_bytes)
    assert summary.size_bytes == store.stat("object").size_bytes
    for identity in IDENTITIES[:recipients] or [None]:
        assert fetch(store, summary, identity) == data


@given(
    data=st.binary(max_size=300_000) | st.sampled_from([bytes(500_000), b"x"]),
    encrypted=st.booleans(),
    how=st.sampled_from(["flip", "cut", "append", "empty", "flip and same size"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
@settings(max_examples=150, deadline=None)
def test_every_damage_is_found_and_names_the_key(store, data, encrypted, how, place, bit):
    summary = keep(store, data, RECIPIENTS[:1] if encrypted else [])
    stored = bytearray(store.get("object"))
    index = int(place * len(stored))
    if how.startswith("flip"):
        stored[index] ^= 1 << bit
    else:
        stored = {"cut": stored[:index], "append": stored + b"\x00", "empty": bytearray()}[how]
    store.put("object", bytes(stored))
    with pytest.raises(CorruptError, match="object"):
        fetch(store, summary, IDENTITIES[0] if encrypted else None)


def test_a_wrong_identity_and_none_at_all_are_told_from_damage(store):
    summary = keep(store, b"data", RECIPIENTS[:2])
    with pytest.raises(CorruptError, match="the identity does not open object; set the identity of one"):
        fetch(store, summary, IDENTITIES[2])
    with pytest.raises(ConfigurationError, match="object is encrypted and no age identity is configured"):
        fetch(store, summary, encrypted=True)
    with pytest.raises(ConfigurationError, match="the configured age identity is none"):
        fetch(store, summary, "AGE-SECRET-KEY-1NONSENSE")
    with pytest.raises(ConfigurationError, match="'age1nonsense' is no age public key"):
        keep(store, b"data", ["age1nonsense"])


def test_an_identity_file_of_age_keygen_is_read_as_it_is(store):
    summary = keep(store, b"data", RECIPIENTS[:1])
    text = f"# created: 2026-11-21T02:00:00Z\n# public key: {RECIPIENTS[0]}\n{IDENTITIES[0]}\n"
    assert fetch(store, summary, text) == b"data"


def test_the_suffix_says_what_undoes_it():
    assert key_suffix([]) == ".zst"
    assert key_suffix(RECIPIENTS) == ".zst.age"


@pytest.mark.timeout(150)
@pytest.mark.parametrize("recipients", [[], RECIPIENTS], ids=["clear", "encrypted"])
@pytest.mark.parametrize("error", [BrokenPipeError("pg_dump"), StoppedError("stopped"), KeyboardInterrupt()], ids=repr)
def test_an_error_of_the_writer_passes_through_and_stores_nothing(store, recipients, error):
    before = threading.active_count()

    def work():
        with storing(store, "abandoned", level=1, threads=0, recipients=recipients) as stream:
            stream.write(os.urandom(3 * CHUNK_BYTES))
            raise error

    with pytest.raises(type(error)) as raised:
        work()
    assert raised.value is error
    assert list(store.list("abandoned")) == []
    assert threading.active_count() <= before


@pytest.mark.parametrize("recipients", [[], RECIPIENTS[:1]], ids=["clear", "encrypted"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoppedError("stopped")], ids=repr)
def test_an_error_of_the_reader_passes_through(store, recipients, error):
    keep(store, os.urandom(5 * CHUNK_BYTES), recipients)

    def work():
        with fetching(
            store,
            "object",
            identity=str(IDENTITIES[0]),
            encrypted=bool(recipients),
            sha256=None,
            size_bytes=None,
        ) as source:
            source.read(10)
            raise error

    with pytest.raises(type(error)) as raised:
        work()
    assert raised.value is error


class Failing(LocalStore):
    """A store that stops answering after so many bytes, as a network does."""

    def __init__(self, folder, after):
        super().__init__(folder)
        self.left = after

    def spend(self, size):
        self.left -= size
        if self.left < 0:
            raise UnreachableError("cannot reach the store; look whether it runs")

    def writing(self, key):
        return Counted(super().writing(key), "write", self)

    def reading(self, key, offset=0, length=None):
        return Counted(super().reading(key, offset, length), "read", self)


class Counted:
    def __init__(self, context, name, store):
        self.context, self.name, self.store = context, name, store

    def __enter__(self):
        handle = self.context.__enter__()
        inner = getattr(handle, self.name)

        def counted(argument=-1):
            self.store.spend(len(argument) if self.name == "write" else CHUNK_BYTES)
            return inner(argument)

        setattr(handle, self.name, counted)
        return handle

    def __exit__(self, *details):
        return self.context.__exit__(*details)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("recipients", [[], RECIPIENTS[:1]], ids=["clear", "encrypted"])
@pytest.mark.parametrize("after", [0, 1_000_000, 2_999_000])
def test_a_store_that_stops_answering_is_no_damage(store, recipients, after):
    data = os.urandom(3_000_000)
    with pytest.raises(UnreachableError, match="cannot reach the store"):
        keep(Failing(str(store.folder), after), data, recipients, key="never")
    assert list(store.list("never")) == []
    summary = keep(store, data, recipients)
    with pytest.raises(UnreachableError, match="cannot reach the store"):
        fetch(Failing(str(store.folder), min(after, 2_000_000)), summary, IDENTITIES[0] if recipients else None)


def test_memory_stays_flat_over_a_long_stream(tmp_path):
    script = """
import hashlib, os, resource, sys
import pyrage
from tasks.repository.local import LocalStore
from tasks.repository.streams import fetching, storing

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

store, identity = LocalStore(sys.argv[1]), pyrage.x25519.Identity.generate()
def run(megabytes):
    chunk = os.urandom(1024 * 1024) + bytes(3 * 1024 * 1024)
    with storing(store, "object", level=1, threads=2, recipients=[str(identity.to_public())]) as stream:
        for _ in range(megabytes // 4):
            stream.write(chunk)
    summary, count = stream.summary, 0
    with fetching(store, "object", identity=str(identity), encrypted=True, sha256=summary.sha256,
                  size_bytes=summary.size_bytes) as source:
        while data := source.read(1024 * 1024):
            count += len(data)
    assert count == megabytes // 4 * len(chunk)

run(64)
before = peak()
run(512)
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True, timeout=280
    )
    assert int(done.stdout) < 32, f"512 MiB took {done.stdout.strip()} MiB more than 64 MiB did"
