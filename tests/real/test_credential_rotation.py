"""Rotation on a real server that logs everything: proven, taken back, mended, and its secrets nowhere."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from flows.credential_rotation import credential_rotation
from tasks.base.errors import NightshiftError
from tasks.base.systems import load_system
from tasks.base.words import LockPolicy, Verdict
from tasks.credentials.places import place_of_password
from tasks.ledger.book import Book
from tasks.ledger.fold import fold
from tasks.postgres.lock import database_lock
from tasks.postgres.rotation.role import RoleJob
from tasks.postgres.rotation.server import RoleServer
from tasks.repository.local import LocalStore
from tasks.repository.opening import open_store
from tasks.repository.rotations import Rotations
from tests.real.conftest import change_system
from tests.real.loud import OLD, everything, logs_in, set_password, verifier
from tests.real.test_no_secret import process_list_watched
from tests.unit.test_credential_commands import known, serving


def test_a_rotated_password_is_proven_kept_and_nowhere_else(rotating, loud_server, place, tmp_path, caplog, capfd):
    before = verifier(loud_server)
    with psycopg.connect(loud_server.dsn("shop"), user="app", password=OLD, application_name="till") as session:
        plan = credential_rotation("acme")
        assert plan.dry_run, "a plan by default"
        assert "age is unknown" in plan.headline
        assert (place.read_text(), verifier(loud_server)) == (OLD, before), "a plan changes nothing"
        plan = credential_rotation("acme", credentials=("a*",))
        assert "1 sessions of it go on" in plan.rows[0]["outcome"]
        assert verifier(loud_server) == before
        with process_list_watched() as arguments:
            done = credential_rotation("acme", credentials=("app",), dry_run=False)
        assert session.execute("SELECT 1").fetchone() == (1,), "an old session goes on"
    assert done.verdict is Verdict.OK, done.headline
    assert [row["application_name"] for row in done.sessions] == ["till"]
    new = place.read_text().strip()
    assert len(new) >= 32
    assert logs_in(loud_server, new)
    assert not logs_in(loud_server, OLD)
    assert verifier(loud_server).startswith("SCRAM-SHA-256$4096:")
    assert [path.name for path in place.parent.iterdir()] == ["password"]
    assert place.stat().st_mode & 0o777 == 0o640 & place.stat().st_mode & 0o777
    ledger = Book(LocalStore(str(tmp_path / "repository")), "acme")
    (finding,) = fold(ledger.scans(), lambda *_: None).values()
    assert (finding.finding.rule, finding.fixed_in) == ("rotation-unknown", done.run_id), "seen by the plan, then gone"
    # It is young now, by the journal; the next run has nothing to do.
    again = credential_rotation("acme", dry_run=False)
    assert (again.rows[0]["state"], again.rows[0]["known_by"]) == ("fresh", "the journal")
    assert place.read_text().strip() == new
    places = everything(loud_server, tmp_path / "repository", loud_server.data / "log")
    places |= {"the run's log": caplog.text, "the terminal": "".join(capfd.readouterr()), "results": repr((plan, done))}
    places["the process list"] = b"\n".join(arguments).decode("latin-1")
    secret = {"the password": new, "the old verifier": before, "the new verifier": verifier(loud_server)}
    assert any("nightshift:rotation" in text for text in places.values()), "the server logged this very session"
    assert any("set_config" in text for text in places.values())
    for what, value in secret.items():
        for piece in (value, value.split("$")[-1].split(":")[0]):
            assert [name for name, text in places.items() if piece in text] == [], what


def test_each_refusal_names_what_is_missing_and_nothing_is_changed(rotating, loud_server, place):
    before, dsn = verifier(loud_server), psycopg.conninfo.make_conninfo(loud_server.dsn("shop"), user="turner")
    with psycopg.connect(loud_server.dsn("postgres"), autocommit=True) as boss:
        boss.execute("CREATE ROLE turner LOGIN")
        try:
            for missing in ("GRANT SET ON PARAMETER", "GRANT pg_read_all_data", "CREATEROLE; GRANT app TO turner"):
                rotating(admin_dsn=dsn)
                with pytest.raises(NightshiftError, match=missing) as refused:
                    credential_rotation("acme", credentials=("app",))
                statements = str(refused.value).split("as a superuser: ")[1].split(", or set")[0].split(" (when")[0]
                for statement in statements.split("; "):
                    boss.execute(statement.encode())
            assert (verifier(loud_server), place.read_text()) == (before, OLD)
            credential_rotation("acme", credentials=("app",), dry_run=False)
            assert logs_in(loud_server, place.read_text().strip())
        finally:
            boss.execute("REVOKE app FROM turner; DROP OWNED BY turner; DROP ROLE turner")


def test_a_statement_that_fails_is_not_logged_either_and_a_session_that_was_ended_is_opened_again(
    rotating, loud_server
):
    rotating(role="ghost")
    system = load_system("acme")
    with closing(RoleServer(system.databases[0], system.credentials.entries[0], "failing1")) as server:
        for _ in range(2):
            with pytest.raises(NightshiftError, match='role "ghost" does not exist') as refused:
                server.set_verifier("SCRAM-SHA-256$4096:planted-verifier")
            assert "planted-verifier" not in str(refused.value)
            with psycopg.connect(loud_server.dsn("shop"), autocommit=True) as boss:
                ended = (
                    "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity"
                    " WHERE application_name ~ 'failing1'"
                )
                assert boss.execute(ended).fetchone() == (1,)
    texts = everything(loud_server, loud_server.data / "log")
    assert any('role "ghost" does not exist' in text for text in texts.values())
    assert [name for name, text in texts.items() if "planted-verifier" in text] == []


def test_a_log_that_cannot_be_kept_quiet_is_allowed_only_by_name(rotating, loud_server, place):
    with psycopg.connect(loud_server.dsn("postgres"), autocommit=True) as boss:
        boss.execute("CREATE ROLE loud LOGIN CREATEROLE; GRANT pg_read_all_data TO loud")
        boss.execute("GRANT app TO loud WITH ADMIN OPTION")
        rotating(
            admin_dsn=psycopg.conninfo.make_conninfo(loud_server.dsn("shop"), user="loud"), allow_verifier_in_log=True
        )
        done = credential_rotation("acme", credentials=("app",), dry_run=False)
        boss.execute("REVOKE app FROM loud; DROP OWNED BY loud; DROP ROLE loud")
    assert done.verdict is Verdict.WARN
    assert "the verifier stands in the server's log" in done.headline
    assert logs_in(loud_server, place.read_text().strip())
    # So the search of the first test can find what is there.
    texts = everything(loud_server, loud_server.data / "log")
    assert any(verifier(loud_server) in text for text in texts.values())
    assert not any(place.read_text().strip() in text for text in texts.values())


def test_a_run_that_is_killed_is_mended_by_the_next(rotating, loud_server, tmp_path, place):
    # The program that keeps the password hangs: the server has the new one, the place the old one.
    hangs, begun = tmp_path / "hangs", tmp_path / "begun"
    hangs.write_text(f"#!/bin/sh\n[ -e {begun} ] && {{ cat > {place}; exit; }}\ntouch {begun}; exec sleep 100\n")
    hangs.chmod(0o755)
    reads = tmp_path / "reads"
    reads.write_text(f"#!/bin/sh\ncat {place}\n")
    reads.chmod(0o755)
    staging = tmp_path / "staging"
    staging.mkdir()
    rotating(place={"kind": "command", "write": [str(hangs)], "read": [str(reads)], "staging": str(staging)})
    run = subprocess.Popen([sys.executable, "-c", KILLED], start_new_session=True)
    until = time.monotonic() + 240
    while not begun.exists():
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.02)
    # Alone: whoever kills the engine leaves its children.
    run.kill()
    run.wait()
    (beside,) = staging.iterdir()
    assert (beside.stat().st_mode & 0o777, place.read_text()) == (0o600, OLD)
    assert not logs_in(loud_server, OLD)
    plan = credential_rotation("acme")
    assert (plan.rows[0]["state"], "would first be finished" in plan.rows[0]["outcome"]) == ("interrupted", True)
    new = beside.read_text()
    mended = credential_rotation("acme", dry_run=False)
    assert "an interrupted rotation was finished" in mended.headline
    assert (place.read_text(), logs_in(loud_server, new), list(staging.iterdir())) == (new, True, [])
    assert mended.rows[0]["state"] == "fresh"


KILLED = """
import os
from tasks.base.systems import load_system
from tasks.credentials.places import place_of_password
from tasks.postgres.rotation.role import RoleJob
from tasks.repository.opening import open_store
from tasks.repository.rotations import Rotations
system = load_system("acme")
(credential,) = system.credentials.entries
rotations = Rotations(open_store(system.repository), "acme", "killed01")
place = place_of_password("acme", credential)
RoleJob(system.databases[0], credential, place, rotations).rotate(system.credentials, due=True)
"""


def test_the_role_that_nightshift_connects_as_is_rotated_and_mended_too(rotating, loud_server, place):
    with psycopg.connect(loud_server.dsn("shop"), autocommit=True) as boss:
        boss.execute("ALTER ROLE keeper SUPERUSER")
    own = psycopg.conninfo.make_conninfo(loud_server.dsn("shop"), user="keeper")
    change_system(databases=[{"name": "shop", "dsn": own, "password": f"file:{place}"}])
    rotating(role="keeper")
    credential_rotation("acme", credentials=("app",), dry_run=False)
    kept = place.read_text()
    assert logs_in(loud_server, kept.strip(), "keeper")
    # As a kill between the server and the place leaves it: nobody gets in with what is kept.
    (place.parent / ".password.acme-app.nightshift-new").write_text("planted-newer")
    set_password(loud_server, "keeper", "planted-newer")
    mended = credential_rotation("acme", dry_run=False)
    assert "an interrupted rotation was finished" in mended.headline
    assert place.read_text().strip() == "planted-newer"
    assert [path.name for path in place.parent.iterdir()] == ["password"]


def test_two_at_the_same_time_give_one_new_password(rotating, loud_server, place):
    system = load_system("acme")
    (one,) = system.credentials.entries
    store = open_store(system.repository)
    jobs = [
        RoleJob(system.databases[0], one, place_of_password("acme", one), Rotations(store, "acme", f"twice00{number}"))
        for number in (1, 2)
    ]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda job: job.rotate(system.credentials, due=True), jobs))
    told = sorted(check.message for outcome in outcomes for check in outcome.checks)
    assert told[0].startswith("role app has a new password"), told
    assert told[1:] == ["was rotated by another run meanwhile; nothing was done"]
    assert logs_in(loud_server, place.read_text().strip())


def test_a_key_is_rotated_by_its_program_under_the_lock_and_told_with_its_proof(rotating, tmp_path):
    key, makes = tmp_path / "key", tmp_path / "make-key"
    key.write_text("old")
    makes.write_text(f"#!/bin/sh\necho planted-new-key > {key}\n")
    makes.chmod(0o755)
    with serving(known("old", "planted-new-key")) as port:
        proof = {"kind": "request", "url": f"http://127.0.0.1:{port}/me", "secret": f"file:{key}"}
        one = {"name": "payments", "kind": "api-key", "max_age_days": 30, "rotated_at": "2020-01-01", "proof": proof}
        entry = one | {"command": {"arguments": [str(makes)]}}
        change_system(credentials={"entries": [entry], "on_lock": "refuse"})
        plan = credential_rotation("acme")
        assert (plan.rows[0]["state"], key.read_text()) == ("overdue", "old")
        with (
            database_lock(load_system("acme").databases[0], "backup", "other001", LockPolicy.REFUSE, 1),
            pytest.raises(NightshiftError, match="is locked by nightshift:backup"),
        ):
            credential_rotation("acme", dry_run=False)
        assert key.read_text() == "old"
        done = credential_rotation("acme", dry_run=False)
    assert key.read_text() == "planted-new-key\n"
    assert (done.rows[0]["state"], done.rows[0]["known_by"]) == ("fresh", "the journal")
    assert f"OK: was rotated by make-key, proven by a request to http://127.0.0.1:{port}/me" in done.rows[0]["outcome"]


def test_a_connection_that_does_not_stay_quiet_changes_nothing(rotating, loud_server):
    before, system = verifier(loud_server), load_system("acme")
    with closing(RoleServer(system.databases[0], system.credentials.entries[0], "pooled01")) as server:
        assert server.loud_settings() == []
        # What a pooler does between two transactions: another session of the server, as it is by default.
        server._session.execute("RESET ALL")
        with pytest.raises(NightshiftError, match=r"does not keep its settings, as behind a pooler.*in admin_dsn"):
            server.set_verifier("SCRAM-SHA-256$4096:planted-pooled")
    assert verifier(loud_server) == before


def test_a_place_that_held_another_password_is_told(rotating, loud_server, place):
    place.write_text("of-something-else")
    for dry_run in (True, False):
        done = credential_rotation("acme", credentials=("app",), dry_run=dry_run)
        assert f"{place} held another password than the role's before" in done.rows[0]["outcome"]
    assert logs_in(loud_server, place.read_text().strip())


def test_two_at_a_time_are_kept_apart_by_the_lock_of_the_database(rotating, loud_server, place):
    system = load_system("acme")
    with database_lock(system.databases[0], "backup", "other001", LockPolicy.REFUSE, 1):
        change_system(credentials={"on_lock": "refuse"})
        with pytest.raises(NightshiftError, match=r"is locked by nightshift:backup:.*:other001"):
            credential_rotation("acme", credentials=("app",), dry_run=False)
    assert logs_in(loud_server, OLD)
    assert place.read_text() == OLD
