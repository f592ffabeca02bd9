"""The rungs of a restore test that may fail though the backup is whole, its limits, and what it leaves: nothing."""

import logging
import os
import stat
import tempfile
import threading
from pathlib import Path

import psutil
import pyrage
import pytest

from flows.restore_test import restore_test
from tasks.base import stopping
from tasks.base.backup import BackupPolicy, RestoreTestPolicy, SqlAssertion
from tasks.base.errors import ConfigurationError, MissingError, NightshiftError, RefusedError, StoppedError
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.backup.logical import back_up
from tasks.postgres.restore.logical import prove
from tasks.repository.local import LocalStore
from tests.real.conftest import SAMPLE, load_shop, write_system
from tests.real.ending import wait_until


@pytest.fixture(scope="module")
def backup(postgres, tmp_path_factory):
    """One encrypted backup for all tests of this file: its store, manifest and identity."""
    stopping.reset()
    identity = pyrage.x25519.Identity.generate()
    store = LocalStore(str(tmp_path_factory.mktemp("ladder")))
    database = Database(name="shop", dsn=load_shop(postgres, SAMPLE.read_text()))
    policy = BackupPolicy(recipients=(str(identity.to_public()),))
    return store, back_up("acme", database, policy, store, "0badcafe", lambda *_: None), str(identity)


@pytest.fixture
def spool():
    """The folder where sandbox and spool live: one with a short path, that PostgreSQL's own user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def climb(backup, spool, monkeypatch):
    """Prove the backup under a changed policy, without Prefect; whatever happens, nothing is left behind."""
    store, manifest, identity = backup
    monkeypatch.setenv("ACME_IDENTITY", identity)
    stopping.reset()

    def run(on_progress=lambda *_: None, store=store, **policy):
        try:
            policy = {"identity": "env:ACME_IDENTITY", "folder": spool, **policy}
            return prove(store, manifest, RestoreTestPolicy(**policy), on_progress)
        finally:
            stopping.reset()
            assert list(spool.iterdir()) == []
            assert [one.pid for one in psutil.process_iter() if str(spool) in " ".join(arguments_of(one))] == []

    return run


def arguments_of(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def said(proof, name):
    """What the rung of that name says, with its verdict before it."""
    return next(f"{rung.verdict} {rung.message}" for rung in proof.rungs if rung.name == name)


def test_each_assertion_that_does_not_hold_is_named_with_what_it_gave(climb):
    asked = {
        "orders are many": ("SELECT count(*) FROM kinds", {"at_least": 2001}, "is 2000, expected at least 2001"),
        "prices": ("SELECT max(price) FROM kinds", {"expect": "1.5"}, "is '1.50', expected '1.5'"),
        "few": ("SELECT count(*) FROM nokey", {"at_most": 9}, "is 10, expected at most 9"),
        "a word": ("SELECT 'ten'", {"at_least": 1}, "is 'ten', which is no number"),
        "a table that is gone": ("SELECT 1 FROM gone", {"expect": "1"}, 'relation "gone" does not exist'),
        "one divided": ("SELECT 1 / count(*) FROM nothing", {"expect": "1"}, "division by zero"),
        "no answer": ("SELECT id FROM nothing", {"expect": "1"}, "returned no row, one value is expected"),
        "two answers": ("SELECT line FROM nokey", {"expect": "same"}, "returned several rows, one value is expected"),
        "a pair": ("SELECT 1, 2", {"expect": "1"}, "returned 2 values, one value is expected"),
        "no question": ("SET search_path = public", {"expect": "1"}, "returned no row, one value is expected"),
    }
    hold = (
        SqlAssertion(name="exact", sql="SELECT price FROM kinds LIMIT 1", expect="1.50"),
        SqlAssertion(name="null", sql="SELECT NULL", expect=""),
        SqlAssertion(name="between", sql="SELECT count(*) FROM kinds", at_least=2000, at_most=2000),
    )
    broken = tuple(SqlAssertion(name=name, sql=sql, **expected) for name, (sql, expected, _) in asked.items())
    proof = climb(assertions=hold, database_assertions={"shop": broken})
    assert (proof.verdict, proof.proven) == (Verdict.FAIL, "not proven")
    found = {rung.target: rung.message for rung in proof.rungs if rung.name == "assertion"}
    assert set(found) == set(asked)
    for name, (_, _, expected) in asked.items():
        assert expected in found[name], name
    assert said(proof, "assertions").startswith("FAIL orders are many: is 2000, expected at least 2001 (and 9 more)")


def test_the_command_is_run_against_the_restored_copy_and_gets_no_key(climb, tmp_path, monkeypatch):
    (tmp_path / "services").write_text("[production]\nhost=127.0.0.1\nport=1\ndbname=production\nuser=production\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    monkeypatch.setenv("PGPASSWORD", "planted-password")
    told = tmp_path / "told"
    ask = f'psql -X -A -t -c "SELECT count(*) FROM kinds" > {told} && env >> {told}'
    monkeypatch.setenv("PATH", f"{embedded()}{os.pathsep}{os.environ['PATH']}")
    sees = SqlAssertion(name="search path is its own", sql="SELECT count(*) FROM kinds", expect="2000")
    proof = climb(command=("sh", "-c", ask), assertions=(sees,))
    assert said(proof, "command") == "OK "
    lines = told.read_text().splitlines()
    assert lines[0] == "2000"
    settings = dict(line.split("=", maxsplit=1) for line in lines[1:] if "=" in line)
    assert settings["PGDATABASE"] == "shop"
    assert {name for name in settings if name.startswith("PG")} == {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE"}
    assert "ACME_IDENTITY" not in settings
    assert "AGE-SECRET-KEY" not in told.read_text()


def embedded():
    from tasks.postgres.clients import embedded_binaries

    return embedded_binaries()


def test_a_command_that_fails_is_quoted(climb):
    proof = climb(command=("sh", "-c", "echo 12 orders without a customer; echo look at orders >&2; exit 3"))
    expected = "FAIL sh ended with exit code 3: look at orders; its last output: 12 orders without a customer"
    assert said(proof, "command") == expected
    assert proof.proven == "not proven"
    assert proof.rto_seconds > 0


def test_a_command_that_does_not_end_is_ended(climb):
    sleep = ["sleep", f"600.{os.getpid()}"]  # no other process of this machine has it
    proof = climb(command=("sh", "-c", f"{' '.join(sleep)} & wait"), command_timeout_seconds=0.3)
    assert said(proof, "command").startswith("FAIL sh did not end within 0.3 s and was ended")
    assert [one for one in psutil.process_iter() if arguments_of(one) == sleep] == []


@pytest.mark.parametrize(
    ("policy", "error", "sentence"),
    [
        (
            {"disk_budget_bytes": 1000},
            RefusedError,
            r"needs about \d+ bytes \(.*MiB\) below .* the budget is 1000 bytes",
        ),
        ({"identity": None}, RefusedError, "is encrypted and no age identity is configured; set restore_test.identity"),
        ({"identity": "env:NOT_SET"}, ConfigurationError, r"env:NOT_SET cannot be read \(it is not set\)"),
        ({"command": ("no-such-program",)}, MissingError, "restore_test.command: program 'no-such-program' is not on"),
        ({"binaries": "/usr/share"}, MissingError, "/usr/share lacks initdb, "),
    ],
)
def test_what_says_nothing_of_the_backup_is_one_sentence_before_any_work(climb, policy, error, sentence):
    climbed = []
    with pytest.raises(error, match=sentence):
        climb(on_progress=lambda _, rung: climbed.append(rung), **policy)
    assert climbed == []


def test_a_folder_that_cannot_hold_a_sandbox_is_named(climb, spool):
    with pytest.raises(ConfigurationError, match=r"nowhere is no folder; make it, or correct restore_test.folder"):
        climb(folder=spool / "nowhere")
    long = Path(tempfile.mkdtemp(prefix="long-" * 20))
    long.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"too long a path for the socket .* name a folder with a shorter one"):
        climb(folder=long)
    long.rmdir()


def test_the_time_of_the_whole_test_ends_it_in_whatever_rung_it_is(climb):
    slow = SqlAssertion(name="slow", sql="SELECT pg_sleep(60)", expect="")
    for limit in (0.5, 3, 6, 12, 24, 48):
        proof = climb(deadline_seconds=limit, assertions=(slow,))
        last = next(one for one in proof.rungs if one.verdict is Verdict.FAIL)
        assert last.message.startswith(f"the test was ended after {limit} s; raise restore_test.deadline_seconds"), last
        # How far it comes in the time is the machine's affair; this question is never answered.
        if last.name == "assertions":
            break
    assert last.name == "assertions"


def test_a_measured_rto_above_the_limit_is_a_warning(climb):
    proof = climb(rto_seconds=0.001)
    assert (proof.verdict, proof.proven) == (Verdict.WARN, "proven")
    assert "more than the 0.001 s of restore_test.rto_seconds" in said(proof, "RTO")


def test_the_decrypted_spool_is_for_its_owner_only_and_lies_where_the_policy_says(climb, spool):
    seen = {}

    def look(_, rung):
        for folder in spool.glob("nightshift-pg-*"):
            seen.setdefault(rung, {}).update(
                {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.glob("*.*")]}
            )

    assert climb(on_progress=look).proven == "proven"
    assert seen["restore"]["archive.dump"] == 0o600
    assert seen["restore"]["globals.sql"] == 0o600
    assert next(mode for name, mode in seen["restore"].items() if name.startswith("nightshift-pg-")) == 0o700
    assert "archive.dump" not in seen["amcheck"], "it is removed as soon as it is restored"


def test_the_spool_of_a_damaged_archive_is_removed_too(climb, backup, tmp_path):
    store, manifest, _ = backup
    damaged = LocalStore(str(tmp_path / "damaged"))
    for file in manifest.files:
        data = store.get(file.key)
        damaged.put(file.key, data[:-1] + bytes([data[-1] ^ 1]) if file.role == "archive" else data)
    proof = climb(store=damaged)
    assert said(proof, "hash and decrypt").startswith(f"FAIL {manifest.file('archive').key} ")
    assert [rung.name for rung in proof.rungs] == ["hash and decrypt"]


@pytest.mark.parametrize("rung", ["hash and decrypt", "restore", "fingerprint", "amcheck"])
def test_a_stop_says_nothing_of_the_backup_and_leaves_nothing(climb, rung):
    def stop(_, name):
        if name == rung:
            threading.Thread(target=stopping.stop_all).start()
            wait_until(stopping.stop_requested)

    with pytest.raises(StoppedError):
        climb(on_progress=stop)


def test_each_rung_is_in_the_runs_log_when_it_ends(climb, caplog):
    with caplog.at_level(logging.INFO, logger="nightshift.restore"):
        proof = climb(command=("false",), rto_seconds=0.001)
    lines = [
        (record.levelname, record.getMessage()) for record in caplog.records if record.name == "nightshift.restore"
    ]
    assert len(lines) == len(proof.rungs)
    for (level, line), rung in zip(lines, proof.rungs, strict=True):
        assert line.split(": ", 1)[1].startswith(f"{rung.name} {rung.verdict} after ")
        assert rung.message in line
        assert level == {"OK": "INFO", "WARN": "WARNING", "FAIL": "ERROR"}[rung.verdict]


def test_a_test_that_was_not_begun_leaves_no_receipt_and_is_red(backup, postgres, identity, tmp_path, monkeypatch):
    store, _, key = backup
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))
    monkeypatch.setenv("ACME_IDENTITY", key)
    policy = {"identity": "env:ACME_IDENTITY", "disk_budget_bytes": 1000}
    recipient = str(identity.to_public())
    write_system(tmp_path, postgres.dsn("shop"), store.folder, recipient, restore_test=policy)
    with pytest.raises(NightshiftError, match=r"1 FAIL: shop: the restore test needs about .* free some, or set"):
        restore_test("acme")
    assert [item.key for item in store.list() if "receipt" in item.key] == []
