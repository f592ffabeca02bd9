"""Planted secrets are searched for in all that a full round leaves behind, and are not found."""

import json
import os
import sqlite3
import time
import uuid
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import psycopg
import pyrage
import pytest
import zstandard
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.logging.handlers import APILogHandler
from prefect.states import Crashed, Running
from psycopg import sql

from deployments.provisioning import deploy
from flows.backup_retention import backup_retention
from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.restore_test import restore_test
from tasks.base.errors import NightshiftError
from tasks.base.systems import load_system
from tests.real.conftest import write_system

BLOCK = "acme-shop-password"


def planted(words=""):
    """A secret that nothing else in the world holds, with characters that every format writes in its own way."""
    return f"planted {words}{uuid.uuid4().hex} 'ü\\/\""


@contextmanager
def process_list_watched():
    """The arguments of every process that was seen while the block ran."""
    seen, ended = set(), Event()

    def watch():
        while not ended.wait(0.1):
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(place.read_bytes())
                except OSError:
                    continue

    watching = Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()


@pytest.fixture
def secrets(system, guarded, rclone, hook, identity, monkeypatch):
    """The system 'acme' with a secret in every place that takes one; the secrets by what they are."""
    secrets = {
        "password": planted("password "),
        "wrong password": planted("wrong password "),
        "S3 key": os.environ["TEST_S3_SECRET"],
        "wrong S3 key": f"planted{uuid.uuid4().hex}",
        "identity": str(identity),
        "wrong identity": str(pyrage.x25519.Identity.generate()),
        "webhook token": uuid.uuid4().hex,
        "heartbeat token": uuid.uuid4().hex,
    }
    with psycopg.connect(guarded, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE guarded PASSWORD {}").format(secrets["password"]))
    Secret(value=secrets["password"]).save(BLOCK, overwrite=True)
    address = os.environ["ACME_HOOK"].rpartition("/")[0]
    monkeypatch.setenv("ACME_HOOK", f"{address}/{secrets['webhook token']}")
    monkeypatch.setenv("ACME_HEARTBEAT", f"{address}/{secrets['heartbeat token']}")
    write_system(
        system.parent / "systems",
        guarded,
        system,
        str(identity.to_public()),
        databases=[{"name": "shop", "dsn": guarded, "password": f"secret:{BLOCK}"}],
        repository=rclone.policy("no-secret"),
        alerting={"webhook_url": "env:ACME_HOOK", "heartbeat_url": "env:ACME_HEARTBEAT"},
        schedules=[{"flow": "database_backup", "slug": "nightly", "cron": "0 2 * * *"}],
    )
    return secrets


def a_round_that_goes_well():
    for flow in (database_backup, backup_verification, restore_test, backup_retention):
        flow("acme")


def a_round_that_fails(secrets, monkeypatch):
    with monkeypatch.context() as wrong:
        Secret(value=secrets["wrong password"]).save(BLOCK, overwrite=True)
        fails(database_backup, "password authentication failed")
        wrong.setenv("ACME_IDENTITY", secrets["wrong identity"])
        fails(backup_verification, "the identity does not open")
        fails(restore_test, "the identity does not open")
        wrong.setenv("TEST_S3_SECRET", secrets["wrong S3 key"])
        fails(backup_retention, "check key, secret and policy")
    with monkeypatch.context() as wrong:
        wrong.setenv("ACME_HOOK", f"http://127.0.0.1:1/{secrets['webhook token']}")
        fails(database_backup, "password authentication failed")


def fails(flow, sentence):
    with pytest.raises(NightshiftError, match=sentence):
        flow("acme")


def a_run_that_crashes(hook):
    with get_client(sync_client=True) as client:
        there = client.read_deployment_by_name("database_backup/acme-nightly")
        run = client.create_flow_run_from_deployment(there.id)
        client.set_flow_run_state(run.id, Running(), force=True)
        client.set_flow_run_state(run.id, Crashed(), force=True)
    until = time.monotonic() + 30
    while not any(" crashed; " in body for body in hook):
        assert time.monotonic() < until, "no message of the crashed run"
        time.sleep(0.2)


def of_prefect():
    """Every row of the server's database: logs, artifacts, runs, states, parameters, deployments, events; its log."""
    APILogHandler().flush()
    home = Path(os.environ["PREFECT_HOME"])
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        rows = "\n".join(database.iterdump())
    return {"Prefect's database": rows.encode(), "the server's log": (home / "server.log").read_bytes()}


def of_the_repository(rclone, identity):
    """Every stored object as it is, and as it was before it was encrypted and compressed."""
    client, found = rclone.client(), {}
    for item in client.list_objects_v2(Bucket=rclone.bucket, Prefix="no-secret/")["Contents"]:
        data = client.get_object(Bucket=rclone.bucket, Key=item["Key"])["Body"].read()
        found[item["Key"]] = data
        if item["Key"].endswith(".zst.age"):
            plain = pyrage.decrypt(data, [identity])
            found[f"{item['Key']} decoded"] = zstandard.ZstdDecompressor().decompressobj().decompress(plain)
    return found


def spellings(secret):
    """How a secret stands in text, JSON, a URL, Python, SQL, and a connection string."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        repr(secret)[1:-1],
        secret.replace("'", "''"),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
    }


def test_no_secret_is_left_anywhere(secrets, rclone, identity, hook, monkeypatch, capfd, caplog):
    with process_list_watched() as arguments:
        deploy(load_system("acme"))
        a_round_that_goes_well()
        a_round_that_fails(secrets, monkeypatch)
        a_run_that_crashes(hook)
    places = {
        **of_prefect(),
        **of_the_repository(rclone, identity),
        # The engine's handler keeps to the terminal of the session's start; what it writes there is in the log.
        "the terminal": "".join([*capfd.readouterr(), caplog.text]).encode(),
        "the messages": "\n".join(hook).encode(),
        "the process list": b"\n".join(arguments),
    }
    # The search looked at what it says that it looked at.
    assert b"password authentication failed" in places["Prefect's database"]
    assert b"password authentication failed" in places["the messages"]
    assert b"the webhook was not delivered" in places["the terminal"]
    assert b"pg_dump" in places["the process list"]
    assert sum(place.endswith(" decoded") for place in places) >= 4
    for what, secret in secrets.items():
        for place, data in places.items():
            for spelling in spellings(secret):
                assert spelling.encode() not in data, f"the {what} is in {place}"
