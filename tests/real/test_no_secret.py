"""Planted secrets are searched for in all that a full round leaves behind, and are not found."""

import base64
import os
import time
import uuid
from contextlib import ExitStack

import psycopg
import pyrage
import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.states import Crashed, Running
from psycopg import sql

from deployments.demo.planted import KEY_ID, SECRET, plant
from deployments.demo.vulnerabilities import write_database
from deployments.flow_runner import check_parameters, known_flows
from deployments.provisioning import deploy
from flows.access_review import access_review
from flows.backup_retention import backup_retention
from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.restore_test import restore_test
from tasks.base.errors import NightshiftError
from tasks.base.systems import load_system
from tests.real.canary import (
    of_errors,
    of_prefect,
    of_the_repository,
    planted,
    process_list_watched,
    spellings,
)
from tests.real.conftest import change_system, write_system
from tests.real.registry import registry
from tests.real.scanning import TOOLS, layers, python_package
from tests.unit.test_prometheus_answers import faulty

BLOCK = "acme-shop-password"


@pytest.fixture
def pulled():
    """A registry that asks for a password; it, the password, and the image that it holds."""
    password = f"planted{uuid.uuid4().hex}ü"  # Trivy takes white space in it for a second one
    config, layer = layers(python_package("django", "1.2"))
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    with registry(f"puller:{password}") as made:
        yield made, password, made.hold("team/app", "latest", kinds[0], config, kinds[1], layer)


@pytest.fixture
def metrics():
    """Prometheus and Alertmanager, which quote the token that they refuse: by name URL, token, what was asked."""
    with ExitStack() as running:
        found = {}
        for name in ("Prometheus", "Alertmanager"):
            token = planted("token ")
            answering = running.enter_context(faulty((401, {"error": f"{token} is not known"})))
            found[name] = (answering[0], token, answering[1])
        yield found


@pytest.fixture
def rotated(postgres, guarded, tmp_path):
    """The role 'canary' whose password lies in a file and is to be rotated; the file."""
    place = tmp_path / "canary"
    place.write_text(f"planted{uuid.uuid4().hex}")
    rules = postgres.data / "pg_hba.conf"
    rules.write_text(f"host all canary 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(guarded, user="postgres", autocommit=True) as session:
        session.execute(sql.SQL("CREATE ROLE canary LOGIN PASSWORD {}").format(place.read_text()))
        session.execute("SELECT pg_reload_conf()")
        yield place
        session.execute("DROP ROLE canary")


@pytest.fixture
def secrets(system, guarded, rclone, hook, identity, monkeypatch, tmp_path, pulled, metrics, rotated):
    """The system 'acme' with a secret in every place that takes one; the secrets by what they are."""
    _, pull_password, reference = pulled
    secrets = {
        "password": planted("password "),
        "wrong password": planted("wrong password "),
        "S3 key": os.environ["TEST_S3_SECRET"],
        "wrong S3 key": f"planted{uuid.uuid4().hex}",
        "identity": str(identity),
        "wrong identity": str(pyrage.x25519.Identity.generate()),
        "webhook token": uuid.uuid4().hex,
        "heartbeat token": uuid.uuid4().hex,
        "registry's password": pull_password,
        "registry's header": base64.b64encode(f"puller:{pull_password}".encode()).decode(),
        "wrong registry's password": f"planted{uuid.uuid4().hex}",
        "key of found secrets": planted("key "),
        **{f"token of {name}": token for name, (_, token, _) in metrics.items()},
        "secret in a scanned folder": SECRET,
        "key id in a scanned folder": KEY_ID,
        "rotated password": rotated.read_text(),
    }
    plant(tmp_path / "planted")
    write_database(tmp_path / "vulnerabilities")
    monkeypatch.setenv("PATH", f"{TOOLS}:{os.environ['PATH']}")
    monkeypatch.setenv("ACME_PULL_PASSWORD", pull_password)
    monkeypatch.setenv("ACME_PULL_USER", "puller")
    monkeypatch.setenv("ACME_SCAN_KEY", secrets["key of found secrets"])
    monkeypatch.setenv("ACME_PROMETHEUS_TOKEN", metrics["Prometheus"][1])
    monkeypatch.setenv("ACME_ALERTMANAGER_TOKEN", metrics["Alertmanager"][1])
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
        prometheus={
            "url": metrics["Prometheus"][0],
            "token": "env:ACME_PROMETHEUS_TOKEN",
            "trends": [{"name": "up", "promql": "up"}],
        },
        security_check={"alertmanager": {"url": metrics["Alertmanager"][0], "token": "env:ACME_ALERTMANAGER_TOKEN"}},
        security={
            "offline": True,
            "database": {"folder": str(tmp_path / "vulnerabilities")},
            "secret_key": "env:ACME_SCAN_KEY",
            "filesystems": [{"name": "app", "path": str(tmp_path / "planted")}],
            "folders": [{"name": "app", "path": str(tmp_path / "planted")}],
            "images": [
                {
                    "name": "app",
                    "reference": reference,
                    "username": "env:ACME_PULL_USER",
                    "password": "env:ACME_PULL_PASSWORD",
                }
            ],
        },
        credentials={
            "entries": [
                {
                    "name": "canary",
                    "kind": "role",
                    "role": "canary",
                    "max_age_days": 30,
                    "place": {"kind": "file", "path": str(rotated)},
                }
            ]
        },
    )
    return secrets


# What a flow is told beside the system, where its own defaults would do nothing.
PARAMETERS = {
    "database_maintenance": {"dry_run": False, "minutes": 10},
    "credential_rotation": {"dry_run": False, "credentials": ("canary",)},
}
FIRST = ("database_backup", "backup_verification", "restore_test", "security_audit")


def a_round_of_all_flows(errors):
    """Every flow that there is, with the right secrets; some end red, for Prometheus refuses to answer."""
    for name in FIRST:
        ended(name, errors)
    review = access_review("acme")
    # Nobody is disabled without a signed review.
    signed = {"sign_off": review.run_id, "decision": "approve", "signed_by": "maria"}
    access_review("acme", **signed, inactive=("postgres shop/canary",))
    for name in known_flows():
        if name not in (*FIRST, "access_review"):
            ended(name, errors)


def ended(name, errors):
    parameters = {"system": "acme", **PARAMETERS.get(name, {})}
    try:
        check_parameters(name, parameters)(**parameters)
    except NightshiftError as error:
        errors.append(error)


def a_round_that_fails(secrets, monkeypatch, errors):
    with monkeypatch.context() as wrong:
        Secret(value=secrets["wrong password"]).save(BLOCK, overwrite=True)
        wrong.setenv("ACME_PULL_PASSWORD", secrets["wrong registry's password"])
        change_system(security={"filesystems": [], "folders": []})
        for name in ("database_backup", "security_audit", "credential_rotation", "capacity_sample"):
            ended(name, errors)
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
    until = time.monotonic() + 120
    while not any(" crashed; " in body for body in hook):
        assert time.monotonic() < until, "no message of the crashed run"
        time.sleep(0.2)


def test_no_secret_is_left_anywhere(secrets, rotated, metrics, rclone, identity, hook, monkeypatch, capfd, caplog):
    errors = []
    with process_list_watched() as arguments:
        deploy(load_system("acme"))
        a_round_of_all_flows(errors)
        secrets["new password"] = rotated.read_text()
        a_round_that_fails(secrets, monkeypatch, errors)
        a_run_that_crashes(hook)
    places = {
        **of_prefect(),
        **of_the_repository(rclone, identity),
        # The engine's handler keeps to the terminal of the session's start; what it writes there is in the log.
        "the terminal": "".join([*capfd.readouterr(), caplog.text]).encode(),
        "the messages": "\n".join(hook).encode(),
        "the process list": b"\n".join(arguments),
        **of_errors(errors),
    }
    # The search looked at what it says that it looked at.
    assert b"password authentication failed" in places["Prefect's database"]
    assert b"password authentication failed" in places["the messages"]
    assert b"the webhook was not delivered" in places["the terminal"]
    assert b"pg_dump" in places["the process list"]
    assert b"trivy" in places["the process list"]
    assert b"UNAUTHORIZED" in places["a traceback"]
    for _, token, asked in metrics.values():
        shown = {headers["Authorization"].encode("latin-1").decode() for _, headers, _ in asked}
        assert shown == {f"Bearer {token}"}
    assert secrets["new password"] != secrets["rotated password"]
    told = b"".join(data for place, data in places.items() if "/history/evidence/" in place)
    assert [name for name in known_flows() if f'"flow": "{name}"'.encode() not in told] == [], "these left no evidence"
    assert b'"rule": "aws-access-token"' in b"".join(data for place, data in places.items() if "/findings/" in place)
    assert any(place.endswith("report.sarif") for place in places)
    assert sum(place.endswith(" decoded") for place in places) >= 4
    for what, secret in secrets.items():
        for place, data in places.items():
            for spelling in spellings(secret):
                assert spelling.encode() not in data, f"the {what} is in {place}"
