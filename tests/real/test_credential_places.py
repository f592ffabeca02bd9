"""Rotation on a real server: what keeps a place or a login from being proven, and every kind of place."""

import resource

import psycopg
import pytest
from prefect.blocks.system import Secret

from deployments.demo.servers import free_port
from flows.credential_rotation import credential_rotation
from tasks.base.errors import IncompleteError, NightshiftError
from tasks.base.words import Verdict
from tests.real.conftest import change_system
from tests.real.loud import OLD, logs_in, verifier


def test_where_any_password_is_let_in_nothing_is_changed(rotating, loud_server, place):
    before = verifier(loud_server, "open")
    for dry_run in (True, False):
        rotating(role="open")
        with pytest.raises(IncompleteError, match="let open in with a wrong password"):
            credential_rotation("acme", credentials=("app",), dry_run=dry_run)
    assert (verifier(loud_server, "open"), place.read_text()) == (before, OLD)
    assert [path.name for path in place.parent.iterdir()] == ["password"]


def test_where_no_password_is_asked_nothing_is_changed(rotating, loud_server, place):
    before = verifier(loud_server, "narrow")
    rotating(role="narrow", login_dsn=f"host={loud_server.folder} port={loud_server.port} dbname=shop")
    with pytest.raises(NightshiftError, match=r"Peer authentication failed.*demand scram-sha-256"):
        credential_rotation("acme", credentials=("app",), dry_run=False)
    assert (verifier(loud_server, "narrow"), place.read_text()) == (before, OLD)


def test_a_place_that_cannot_be_written_is_told_before_and_one_that_fails_later_is_taken_back(
    rotating, loud_server, tmp_path, place
):
    before = verifier(loud_server)
    for path, reason in (("/nowhere/x", "there is no folder /nowhere"), ("/proc/x", "cannot write /proc/")):
        rotating(place={"kind": "file", "path": path})
        with pytest.raises(NightshiftError, match=reason):
            credential_rotation("acme", credentials=("app",), dry_run=False)
    fails = tmp_path / "fails"
    fails.write_text("#!/bin/sh\ncat >&2; exit 7\n")
    fails.chmod(0o755)
    rotating(place={"kind": "command", "write": [str(fails)], "staging": str(place.parent)})
    with pytest.raises(
        NightshiftError,
        match=r"exit code 7 .*taken back: the old password holds at the server; what fails writes is not known",
    ):
        credential_rotation("acme", credentials=("app",), dry_run=False)
    # The disk is full only for the whole file: what lies beside it is small.
    place.write_text("X=y\n" * 50_000 + f"APP={OLD}\n")
    rotating(place={"kind": "env-file", "path": str(place), "variable": "APP"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(NightshiftError, match=r"File too large.*taken back: the old password holds everywhere"):
            credential_rotation("acme", credentials=("app",), dry_run=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert verifier(loud_server) == before
    assert logs_in(loud_server, OLD)
    assert place.read_text().endswith(f"APP={OLD}\n")
    assert [path.name for path in place.parent.iterdir()] == ["password"]


def test_a_database_whose_dsn_is_a_standby_is_rotated_and_proven_at_its_primary(rotating, loud_server, place):
    standby = psycopg.conninfo.make_conninfo(loud_server.dsn("shop"), port=free_port())
    change_system(databases=[{"name": "shop", "dsn": standby, "lock_dsn": loud_server.dsn("shop")}])
    done = credential_rotation("acme", credentials=("app",), dry_run=False)
    assert done.verdict is Verdict.OK, "a standby that is down, or behind, is not asked"
    assert logs_in(loud_server, place.read_text().strip())


def test_a_passfile_keeps_its_other_entries_and_libpq_reads_the_new_one(rotating, loud_server, place):
    port = str(loud_server.port)
    others = f"# mine\n*:{port}:other\\:db:app:se\\:cret\\\\\n*:*:*:someone:x\n"
    place.write_text(f"{others}127.0.0.1:{port}:shop:app:{OLD}\n*:*:*:*:last\n")
    rotating(place={"kind": "passfile", "path": str(place), "host": "127.0.0.1", "port": port, "dbname": "shop"})
    credential_rotation("acme", credentials=("app",), dry_run=False)
    text = place.read_text()
    assert text.startswith(others)
    assert text.endswith("\n*:*:*:*:last\n")
    assert OLD not in text
    place.chmod(0o600)
    psycopg.connect(loud_server.dsn("shop"), user="app", passfile=str(place)).close()


def test_a_secret_block_takes_the_new_password(rotating, loud_server):
    Secret(value=OLD).save("acme-app", overwrite=True)
    rotating(place={"kind": "block", "reference": "secret:acme-app"})
    done = credential_rotation("acme", credentials=("app",), dry_run=False)
    assert done.verdict is Verdict.OK, done.headline
    assert logs_in(loud_server, Secret.load("acme-app").get())
    with pytest.raises(ValueError, match="acme-app-nightshift-new"):
        Secret.load("acme-app-nightshift-new")
