"""Dumps that Nightshift did not write: every format restores, every everyday fault is named, nothing stays behind."""

import gzip
import io
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

import psycopg
import pyrage
import pytest
import zstandard

from flows.restore_test import restore_test
from tasks.base import stopping
from tasks.base.backup import RestoreTestPolicy, SqlAssertion
from tasks.base.errors import ConfigurationError, MissingError, NightshiftError
from tasks.base.system import RepositoryPolicy
from tasks.base.words import Verdict
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.restore.dumps import find_dumps, place_of
from tasks.postgres.restore.existing import try_dump
from tasks.repository.local import LocalStore
from tasks.repository.opening import open_store
from tests.real.conftest import SAMPLE, SAMPLE_ROWS, SAMPLE_TABLES
from tests.real.stores import KEY_ID, SECRET

WAYS = {
    "custom.dump": ("pg_dump", "-Fc"),
    "packed.tar": ("pg_dump", "-Ft"),
    "folder": ("pg_dump", "-Fd"),
    "plain.sql": ("pg_dump",),
    "created.sql": ("pg_dump", "--create"),
    "cleaned.sql": ("pg_dump", "--clean"),
    "inserts.sql": ("pg_dump", "--inserts", "--rows-per-insert=100"),
    "cluster.sql": ("pg_dumpall",),
    "cleaned-cluster.sql": ("pg_dumpall", "--clean"),
}


@pytest.fixture(scope="module")
def made(postgres, tmp_path_factory):
    """A folder with the sample database dumped in every way; the database and its roles are gone afterwards."""
    stopping.reset()
    folder = tmp_path_factory.mktemp("dumps")
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS shop_reader, shop_owner")
        connection.execute("CREATE DATABASE shop")
        with psycopg.connect(postgres.dsn("shop"), autocommit=True) as shop:
            shop.execute(SAMPLE.read_bytes())
            shop.execute("CREATE POLICY reading ON secured FOR SELECT TO shop_reader USING (true)")
        for name, (program, *options) in WAYS.items():
            command = [embedded_binaries() / program, *options, "-f", folder / name, "-d", postgres.dsn("shop")]
            subprocess.run(command, check=True)
        connection.execute("DROP DATABASE shop")
        connection.execute("DROP ROLE shop_reader, shop_owner")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Where one test puts the dumps that it tries."""
    stopping.reset()
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


def tried(folder, **policy):
    """The newest dump of a folder, tried without Prefect."""
    store = LocalStore(str(folder))
    chosen = RestoreTestPolicy(**policy)
    return try_dump(store, find_dumps(store, "*")[-1], chosen, chosen.assertions, lambda *_: None)


def sentence(proof):
    """What the first red rung says."""
    return next((f"{rung.name}: {rung.message}" for rung in proof.rungs if rung.verdict.is_red), "nothing is red")


def put(made, folder, name, change=lambda data: data, as_name=None):
    """Copy one of the dumps, changed, into the folder that is tried."""
    path = folder / (as_name or name)
    path.write_bytes(change((made / name).read_bytes()))
    return path


def proofs_of_nothing_left():
    """The sandboxes and spools of this process."""
    found = Path(tempfile.gettempdir()).glob("nightshift-pg-*/owner")
    return [path.parent for path in found if path.read_text().startswith(f"{os.getpid()}:")]


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_dump_restores_and_is_counted(made, folder, name):
    if (made / name).is_dir():
        folder = made / name
    else:
        put(made, folder, name)
    before = proofs_of_nothing_left()
    proof = tried(folder)
    assert sentence(proof) == "nothing is red"
    assert (proof.verdict, proof.tables, proof.rows) == (Verdict.INFO, SAMPLE_TABLES, SAMPLE_ROWS)
    assert proof.proven == "nothing to compare with"
    assert proofs_of_nothing_left() == before


PACKED = {
    "plain.sql.gz": gzip.compress,
    "members.sql.gz": lambda data: gzip.compress(data[:500]) + gzip.compress(data[500:]),
    "padded.sql.gz": lambda data: gzip.compress(data) + bytes(512),
    "frames.sql.zst": lambda data: zstandard.compress(data[:500]) + zstandard.compress(data[500:]),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_compressed_script_is_streamed_and_restores(made, folder, name):
    put(made, folder, "plain.sql", PACKED[name], name)
    assert tried(folder).rows == SAMPLE_ROWS


@pytest.mark.parametrize("name", ["custom.dump", "plain.sql"])
def test_a_dump_encrypted_with_age_is_opened_by_the_identity(made, folder, monkeypatch, identity, name):
    monkeypatch.setenv("OLD_IDENTITY", str(identity))
    to = [identity.to_public()]
    put(made, folder, name, lambda data: pyrage.encrypt(zstandard.compress(data), to), f"{name}.zst.age")
    assert tried(folder, identity="env:OLD_IDENTITY").rows == SAMPLE_ROWS
    with pytest.raises(ConfigurationError, match=r"is encrypted; name a system whose restore_test.identity opens it"):
        tried(folder)
    monkeypatch.setenv("OLD_IDENTITY", str(pyrage.x25519.Identity.generate()))
    assert "the identity does not open" in sentence(tried(folder, identity="env:OLD_IDENTITY"))


def half(data):
    return data[: len(data) // 2]


def tar_of(data):
    """A tar that somebody made of a plain dump."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("plain.sql")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


FAULTS = {
    "cut archive": ("custom.dump", half, "shop.dump", r"pg_restore ended with exit code 1: .*; it was cut or damaged"),
    "cut tar": ("packed.tar", half, "shop.tar", r"pg_restore ended with exit code 1: "),
    "cut gzip": ("plain.sql", lambda data: half(gzip.compress(data)), "shop.sql.gz", r"ends in the middle of its comp"),
    "cut zstd": ("plain.sql", lambda data: half(zstandard.compress(data)), "shop.sql.zst", r"ends in the middle"),
    "damaged gzip": (
        "plain.sql",
        lambda data: gzip.compress(data)[:-8] + b"checksum",
        "shop.sql.gz",
        r"shop.sql.gz cannot be decompressed",
    ),
    "cut among rows": ("plain.sql", half, "shop.sql", r"shop.sql ends among the rows of table \S*kinds: it was cut"),
    "cut between statements": (
        "plain.sql",
        lambda data: data[: data.index(b"\nALTER TABLE ONLY")],
        "shop.sql",
        r"ends before the line '-- PostgreSQL database dump complete': it was cut",
    ),
    "an error in the middle": (
        "plain.sql",
        lambda data: data.replace(b"CREATE TABLE public.nokey", b"CREATE TABEL public.nokey"),
        "shop.sql",
        r"restore: psql ended with exit code 3: psql:<stdin>:\d+: ERROR: syntax error at or near \"TABEL\"",
    ),
    "no dump": ("plain.sql", lambda _: b"pg_dump: error: no password\n", "shop.dump", r"syntax error at or near"),
    "nothing in gzip": ("plain.sql", lambda _: gzip.compress(b""), "a.sql.gz", r"a.sql.gz is empty"),
    "a tar of other files": ("plain.sql", tar_of, "a.tar", r"not one of pg_dump -Ft: unpack it"),
    "UTF-16": ("plain.sql", lambda data: data.decode().encode("utf-16"), "a.sql", r"it may be UTF-16, as PowerShell"),
    "empty": ("plain.sql", lambda _: b"", "shop.sql", r"read: shop.sql is empty; look whether the job"),
    "no table": ("plain.sql", lambda _: b"SELECT 1;\n", "shop.sql", r"count: restores, but holds no table"),
    "a newer archive": (
        "custom.dump",
        lambda data: data[:6] + b"\x63" + data[7:],
        "shop.dump",
        r"unsupported version \(1.99\) in file header; a newer pg_dump wrote it: install that PostgreSQL",
    ),
    "a newer script": (
        "plain.sql",
        lambda data: data.replace(b"pg_dump version 18", b"pg_dump version 77"),
        "shop.sql",
        r"no PostgreSQL 77 \(or newer\) server programs",
    ),
    "an extension that is not here": (
        "custom.dump",
        lambda data: data.replace(b"citext", b"citezt"),
        "shop.dump",
        r"extension \"citezt\" is not available.*; install the extension for the sandbox's PostgreSQL",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_nothing_stays_behind(made, folder, fault):
    name, change, as_name, expected = FAULTS[fault]
    put(made, folder, name, change, as_name)
    before = proofs_of_nothing_left()
    proof = tried(folder)
    assert proof.verdict is Verdict.FAIL
    assert proof.proven == "not proven"
    assert re.search(expected, sentence(proof)), sentence(proof)
    assert proofs_of_nothing_left() == before


def test_an_older_major_is_restored_and_a_locale_that_is_missing_is_said(made, folder):
    def foreign(data):
        data = data.replace(b"pg_dump version 18", b"pg_dump version 11").replace(b"SET transaction_timeout = 0;", b"")
        return data.replace(b"LOCALE = 'C.UTF-8'", b"LC_COLLATE = 'de_XX.UTF-8' LC_CTYPE = 'de_XX.UTF-8'")

    put(made, folder, "created.sql", foreign)
    proof = tried(folder)
    assert (proof.verdict, proof.rows) == (Verdict.SKIP, SAMPLE_ROWS)
    (skipped,) = [rung for rung in proof.rungs if rung.verdict is Verdict.SKIP]
    assert "de_XX.UTF-8" in skipped.message
    assert "install that locale" in skipped.message


def test_tablespaces_of_the_source_are_made_inside_the_sandbox(made, folder):
    def spread(data):
        return data.replace(b"SET default_tablespace = '';", b"SET default_tablespace = fast;", 1)

    put(made, folder, "plain.sql", spread)
    assert sentence(tried(folder)) == "nothing is red"


@pytest.fixture
def open_folder():
    """A folder that every user may enter; pytest's own are for who runs it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_script_runs_as_the_user_of_the_sandbox_never_as_root_and_sees_no_key(made, folder, open_folder, monkeypatch):
    monkeypatch.setenv("OLD_IDENTITY", "planted-key")
    told, server_told = open_folder / "told", open_folder / "server-told"
    for path in (told, server_told):
        path.touch()
        path.chmod(0o666)
    more = f"COPY public.nothing TO PROGRAM 'env > {server_told}';\n\\! (id -u; env) > {told}\n"
    put(made, folder, "plain.sql", lambda data: data + more.encode())
    assert tried(folder).verdict is Verdict.INFO
    assert "PATH=" in told.read_text()
    assert "PATH=" in server_told.read_text()
    assert "planted-key" not in told.read_text() + server_told.read_text()
    assert told.read_text().splitlines()[0] == ("65534" if os.geteuid() == 0 else str(os.geteuid()))


def test_assertions_and_command_are_asked_of_the_restored_dump(made, folder):
    put(made, folder, "custom.dump")
    lost = SqlAssertion(name="orders are there", sql="SELECT count(*) FROM nokey", at_least=11)
    assert "assertions: orders are there: is 10, expected at least 11" in sentence(tried(folder, assertions=(lost,)))
    asked = ("psql", "-v", "ON_ERROR_STOP=1", "-c", "SELECT 1 / (count(*) - 10) FROM nokey")
    assert "command: psql ended with exit code 1" in sentence(tried(folder, command=asked))


def test_the_flow_needs_no_system_file_and_writes_nothing_where_the_dumps_lie(made, folder):
    put(made, folder, "custom.dump", as_name=os.fsdecode(b"gr\xf6.dump"))
    before = sorted(folder.rglob("*"))
    result = restore_test(dumps=f"file://{folder}")
    assert result.verdict is Verdict.INFO
    assert result.headline == (
        f"1 INFO: gr\ufffd.dump: restores, with {SAMPLE_TABLES} tables and {SAMPLE_ROWS} rows; nothing to compare with"
    )
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(NightshiftError, match=r"no dump named 'none\*' was found below file://"):
        restore_test(dumps=f"{folder}/none*")
    with pytest.raises(NightshiftError, match=r"name a system .* or where dumps lie"):
        restore_test()


def test_dumps_in_a_bucket_are_read_with_what_boto3_finds(made, rclone, monkeypatch):
    stopping.reset()
    client = rclone.client()
    for path in [made / "custom.dump", *(made / "folder").iterdir()]:
        client.upload_file(str(path), rclone.bucket, f"old/{path.relative_to(made)}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", rclone.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for text, key in [
        (f"s3://{rclone.bucket}/old/*.dump", "custom.dump"),
        (f"s3://{rclone.bucket}/old/fold*", "folder"),
    ]:
        place = place_of(text)
        store = open_store(RepositoryPolicy(url=place.url))
        proof = try_dump(store, find_dumps(store, place.pattern)[-1], RestoreTestPolicy(), (), lambda *_: None)
        assert (sentence(proof), proof.backup_id, proof.rows) == ("nothing is red", key, SAMPLE_ROWS)
    with pytest.raises(MissingError, match=r"no dump was found below s3://bucket/nothing; names that count are \.dump"):
        find_dumps(open_store(RepositoryPolicy(url=f"s3://{rclone.bucket}/nothing")), "*")
