"""Restores that are stopped, killed, lost or doubled leave nothing; the command shows nobody a password."""

import re
import signal
from threading import Thread

import psycopg
import pytest
from psycopg import sql

from flows.database_backup import database_backup
from flows.database_restore import database_restore
from tasks.base import stopping
from tasks.base.clock import utc_now
from tasks.base.errors import StoppedError
from tasks.base.orphans import end_orphans
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.restore.beside import Request, restore_beside
from tasks.repository.opening import open_store
from tests.real.canary import of_prefect, planted, process_list_watched, spellings
from tests.real.conftest import change_system
from tests.real.ending import END_SECONDS, nightshift, own_processes, own_sessions, wait_until
from tests.real.restore.beside import databases, pg_restore_that, refused


@pytest.mark.parametrize("step", ["hash and decrypt", "database", "settings", "statistics", "fingerprint", "name"])
def test_a_stop_at_any_step_leaves_nothing(postgres, acme, step):
    system, before = load_system("acme"), databases(postgres)

    def stop(_, name):
        if name == step:
            Thread(target=stopping.stop_all).start()
            wait_until(stopping.stop_requested)

    request = Request(database="shop", into="restored", dry_run=False)
    stopping.reset()
    with pytest.raises(StoppedError):
        restore_beside(open_store(system.repository), system, request, "0badcafe", utc_now(), stop)
    assert databases(postgres) == before


def test_a_session_that_is_lost_on_the_way_is_one_sentence_and_nothing_is_left(postgres, stored, acme, tmp_path):
    before = databases(postgres)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nightshift:restore:%'"
    pg_restore_that(f"{embedded_binaries() / 'psql'} -qAt -o /dev/null -c \"{end}\" '{stored[3]}'", tmp_path / "lost")
    refused("the session to the server of 'shop' was lost: .*; look whether it runs, start again")
    assert databases(postgres) == before
    change_system(backup={"binaries": None, "fingerprint": {"mode": "off"}})
    (made,) = database_backup("acme").backups
    done = database_restore("acme", into="restored", backup=made.backup_id, dry_run=False)
    assert done.verdict is Verdict.SKIP
    assert "restored, not compared, in " in done.headline, "what was not compared is not called so"


def test_a_second_run_is_refused_by_the_name_of_the_first_and_a_stop_leaves_nothing(postgres, held, tmp_path):
    before, log = databases(postgres), tmp_path / "log"
    with nightshift(log, tmp_path / "temporary", "restore", "acme", "shop", "--into", "restored", "--apply") as first:
        wait_until(lambda: first.poll() is not None or "sleep" in own_processes())
        assert first.poll() is None, log.read_text()
        assert len(databases(postgres) - before) == 1, "under a temporary name"
        refused(r"another run restores into 'restored' at this moment: nightshift:restore:\S+ \(pid \d+")
        assert len(databases(postgres) - before) == 1, "the first goes on"
        first.send_signal(signal.SIGTERM)
        first.wait(END_SECONDS)
    assert databases(postgres) == before
    assert own_processes() == []
    said = log.read_text()
    assert first.returncode == 1
    assert said.splitlines()[-1].startswith("nightshift: the run was stopped; what it had begun was ended")
    assert "Traceback" not in said
    assert list((tmp_path / "temporary").iterdir()) == [], "the decrypted spool is gone"


def test_what_a_killed_run_left_is_dropped_by_the_next_which_succeeds(postgres, held, tmp_path):
    before, log, temporary = databases(postgres), tmp_path / "log", tmp_path / "temporary"
    with nightshift(log, temporary, "restore", "acme", "shop", "--into", "restored", "--apply") as first:
        wait_until(lambda: first.poll() is not None or "sleep" in own_processes())
        assert first.poll() is None, log.read_text()
        (left,) = databases(postgres) - before
        first.kill()
    wait_until(lambda: not any("nightshift:restore:" in name for name in own_sessions(postgres.dsn("postgres"))))
    assert left in databases(postgres)
    plan = database_restore("acme", into="restored")
    assert f"killed runs left {left}; the real run drops it" in [one.message for one in plan.checks]
    change_system(backup={"binaries": None})
    done = database_restore("acme", into="restored", dry_run=False)
    assert databases(postgres) == {*before, "restored"}
    assert [one.message for one in done.checks if one.name == "lock"] == [f"{left} of a killed run was dropped"]
    assert {"sh", "sleep", "pg_restore"}.isdisjoint(own_processes()), "its pg_restore was ended"
    end_orphans("nightshift run")  # as the next command does with the server of a killed one
    assert own_processes() == []


def test_the_command_restores_with_a_password_that_nobody_sees(postgres, guarded, acme, tmp_path, monkeypatch):
    secret = planted("for the restore ")
    monkeypatch.setenv("ACME_GUARDED", secret)
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE guarded PASSWORD {}").format(secret))
    change_system(databases=[{"name": "shop", "dsn": guarded, "password": "env:ACME_GUARDED"}])
    database_restore("acme", into="restored")
    # Long enough to be seen: the process list is only looked at from time to time.
    pg_restore_that("sleep 1", tmp_path / "slow")
    log, words = tmp_path / "log", ("restore", "acme", "shop", "--into", "restored", "--apply")
    with process_list_watched() as seen, nightshift(log, tmp_path / "temporary", *words) as process:
        wait_until(lambda: process.poll() is not None)
    said = log.read_text()
    assert process.returncode == 0, said
    *_, verdict, after = said.splitlines()
    assert re.match(r"(OK|INFO|WARN): 'restored' is backup \S+ of 'shop', restored and compared in ", verdict), said
    assert after.startswith("next: psql ")
    assert any(b"--dbname=" in one and b"nightshift_restore_" in one for one in seen), "pg_restore was seen"
    found = {"the terminal": said.encode(), "a process list": b"".join(seen), **of_prefect()}
    found |= {str(path): path.read_bytes() for path in (acme / "acme").rglob("*") if path.is_file()}
    for place, data in found.items():
        for spelling in spellings(secret):
            assert spelling.encode() not in data, place
