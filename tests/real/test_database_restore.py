"""A backup restored beside what is there: planned without a change, compared before it gets its name."""

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from threading import Thread

import psycopg
import pyrage
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from flows.database_backup import database_backup
from flows.database_restore import database_restore
from tasks.base import stopping
from tasks.base.clock import utc_now
from tasks.base.errors import NightshiftError, StoppedError
from tasks.base.orphans import end_orphans
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.restore.beside import Request, restore_beside
from tasks.repository.opening import open_store
from tests.real.canary import of_prefect, planted, process_list_watched, spellings
from tests.real.conftest import SAMPLE, change_system, load_shop, write_system
from tests.real.ending import END_SECONDS, own_processes, own_sessions, wait_until

NEW = 'Läden "Neu" 3:00'


@pytest.fixture(scope="module")
def stored(postgres, tmp_path_factory):
    """One encrypted backup of the awkward sample for all tests: its repository, id, and what opens it."""
    stopping.reset()
    folder, identity = tmp_path_factory.mktemp("stored"), pyrage.x25519.Identity.generate()
    dsn = load_shop(postgres, SAMPLE.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
        write_system(folder, dsn, folder / "repository", str(identity.to_public()))
        (made,) = database_backup("acme").backups
    return folder / "repository", made, identity, dsn


@pytest.fixture
def acme(stored, postgres, tmp_path, monkeypatch):
    """The system acme with a copy of that repository; whatever the test made at the server is gone afterwards."""
    repository, _, identity, dsn = stored
    systems = tmp_path / "systems"
    systems.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(systems))
    monkeypatch.setenv("ACME_IDENTITY", str(identity))
    shutil.copytree(repository, tmp_path / "repository")
    write_system(systems, dsn, tmp_path / "repository", str(identity.to_public()))
    yield tmp_path / "repository"
    stopping.reset()
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        for name in databases(postgres) - {"shop", "postgres", "template0", "template1"}:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def databases(postgres):
    with psycopg.connect(postgres.dsn("postgres")) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def ask(dsn, query, dbname):
    with psycopg.connect(make_conninfo(dsn, dbname=dbname)) as connection:
        return connection.execute(query).fetchone()


def whole_server(postgres):
    """What a plan might change: databases, comments, roles, settings."""
    query = (
        "SELECT array(SELECT d.*::text || coalesce(shobj_description(d.oid, 'pg_database'), '') FROM pg_database d"
        " ORDER BY 1), array(SELECT r.*::text FROM pg_authid r ORDER BY 1),"
        " array(SELECT s.*::text FROM pg_db_role_setting s ORDER BY 1)"
    )
    return ask(postgres.dsn("postgres"), query, "postgres")


def steps(folder):
    """Verdict and message by step, of the newest report."""
    reports = (folder / "acme/reports/database_restore").glob("*/report.csv")
    text = max(reports, key=lambda path: path.stat().st_mtime_ns).read_text()
    return {row["step"]: (row["verdict"], row["message"]) for row in csv.DictReader(io.StringIO(text))}


def refused(match, **parameters):
    """The restore ends red with that sentence; what it says."""
    with pytest.raises(NightshiftError, match=match) as error:
        database_restore("acme", **{"into": "restored", "dry_run": False, **parameters})
    return str(error.value)


@contextmanager
def nightshift(log, temporary, *arguments):
    """`nightshift ARGUMENTS` at work, as a person types it, with no Prefect server."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    temporary.mkdir(exist_ok=True)
    environment["TMPDIR"] = str(temporary)
    command = [sys.executable, "-m", "deployments.cli", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_plan_changes_nothing_and_the_restore_that_it_leads_to_is_equal(postgres, stored, acme):
    backup_id, before = stored[1].backup_id, whole_server(postgres)
    plan = database_restore("acme", "shop", into=NEW)
    assert whole_server(postgres) == before
    assert plan.headline.startswith(f"plan only, nothing was changed; backup {backup_id} of 'shop' can be restored")
    assert {name for name, (verdict, _) in steps(acme).items() if verdict == "SKIP"} == {"space at the server"}
    assert f"--backup {backup_id} --apply" in plan.checks[-1].next_command
    done = database_restore("acme", "shop", into=NEW, dry_run=False)
    assert done.verdict in (Verdict.OK, Verdict.INFO), done.checks
    assert done.headline.startswith(f"'{NEW}' is backup {backup_id} of 'shop', restored and compared in ")
    assert databases(postgres) == {*databases(postgres), "shop", NEW}
    assert not [name for name in databases(postgres) if name.startswith("nightshift")]
    query = (
        "SELECT d.datcollate, d.datctype, pg_get_userbyid(d.datdba), d.datacl::text,"
        " shobj_description(d.oid, 'pg_database'), (SELECT count(*) FROM kinds),"
        " array(SELECT s.setconfig::text FROM pg_db_role_setting s WHERE s.setdatabase = d.oid ORDER BY 1)"
        " FROM pg_database d WHERE d.datname = current_database()"
    )
    assert ask(stored[3], query, NEW) == ask(stored[3], query, "shop")
    analyzed = "SELECT reltuples FROM pg_class WHERE relname = 'kinds'"
    assert ask(stored[3], analyzed, NEW) == (2000,), "it has statistics"
    assert 'ALTER DATABASE "Läden ""Neu"" 3:00" RENAME TO shop' in done.checks[-1].next_command
    said = refused("exists there, and nothing is ever overwritten", database="shop", into=NEW)
    assert "--into NAME" in said


def test_what_is_asked_wrongly_is_one_sentence_and_nothing_is_made(postgres, stored, acme, tmp_path, monkeypatch):
    before = whole_server(postgres)
    refused(r"'shop' has no backup '2020', the newest is .*; see 'nightshift backups acme'", backup="2020")
    refused("has no database 'shoq'; it has: shop", database="shoq")
    refused("name the new database", into="")
    refused("63 bytes at most", into="ä" * 32)
    refused("a connection string must hold no password", server="host=127.0.0.1 password=planted-in-a-dsn")
    refused("cannot connect to 'shop': .*refused", server="host=127.0.0.1 port=1 user=postgres")
    monkeypatch.setenv("ACME_IDENTITY", str(pyrage.x25519.Identity.generate()))
    refused("cannot be had: identity: .*(open|key|identity)")
    change_system(restore_test={"identity": None})
    refused("no age identity is configured; set restore_test.identity")
    assert whole_server(postgres) == before


def test_a_damaged_object_makes_nothing_at_the_server(postgres, stored, acme):
    before, file = whole_server(postgres), acme / stored[1].file("archive").key
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    refused("cannot be had: hash and decrypt: .*archive.dump.zst.age")
    file.write_bytes(whole[:-1])
    refused(rf"cannot be had: backup: .* has {len(whole) - 1} bytes, {len(whole)} were stored")
    file.unlink()
    refused("cannot be had: backup: .*archive.dump.zst.age")
    assert whole_server(postgres) == before


def test_a_missing_role_is_refused_by_name_and_then_made_and_existing_ones_stay(postgres, stored, acme):
    with psycopg.connect(stored[3], autocommit=True) as connection:
        for name in ("shop_reader", "shop_owner"):
            connection.execute(f"ALTER ROLE {name} RENAME TO {name}_away")
        connection.execute("CREATE ROLE shop_owner CONNECTION LIMIT 3")
    try:
        refused(r"cannot be had: roles: .* not there: shop_reader; add --create-roles")
        done = database_restore("acme", into="restored", create_roles=True, dry_run=False)
        assert done.verdict is Verdict.WARN
        told = {
            one.target: one.message for one in done.checks if one.verdict is Verdict.WARN and one.target != "restored"
        }
        assert "is other than in the backup" in told.pop("role shop_owner")
        assert not told, "nothing else"
        made = "SELECT rolcanlogin, rolpassword LIKE 'SCRAM%%', pg_has_role('shop_reader', 'shop_owner', 'MEMBER')"
        assert ask(stored[3], f"{made} FROM pg_authid WHERE rolname = 'shop_reader'", "restored") == (True, True, True)
        limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'shop_owner'"
        assert ask(stored[3], limit, "restored") == (3,)
    finally:
        with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS restored")
            connection.execute("DROP ROLE IF EXISTS shop_reader, shop_owner")
            for name in ("shop_reader", "shop_owner"):
                connection.execute(f"ALTER ROLE {name}_away RENAME TO {name}")


def test_who_may_not_make_a_database_or_its_owners_is_told_the_statement_that_mends_it(postgres, stored, acme):
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE limited LOGIN")
        try:
            server = make_conninfo(stored[3], user="limited")
            refused("may not create databases; ALTER ROLE limited CREATEDB", server=server)
            connection.execute("ALTER ROLE limited CREATEDB")
            refused(r"may not make postgres, shop_owner the owner .*; GRANT postgres TO limited", server=server)
            refused("may not create roles; ALTER ROLE limited CREATEROLE", server=server, create_roles=True)
        finally:
            connection.execute("DROP ROLE limited")


def test_a_role_that_may_become_the_owners_restores_without_being_a_superuser(postgres, stored, acme):
    plain = postgres.dsn("plain")
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_owner")
        connection.execute("CREATE ROLE limited LOGIN CREATEDB IN ROLE plain_owner")
        connection.execute("CREATE DATABASE plain OWNER plain_owner")
        try:
            with psycopg.connect(plain) as session:
                session.execute("SET ROLE plain_owner")
                session.execute("CREATE TABLE notes AS SELECT n, 'x' || n AS note FROM generate_series(1, 50) n")
                session.execute("GRANT SELECT ON notes TO limited")
            connection.execute("REVOKE CONNECT ON DATABASE plain FROM PUBLIC")
            connection.execute("ALTER DATABASE plain SET work_mem = '8MB'")
            change_system(databases=[{"name": "plain", "dsn": plain}])
            database_backup("acme")
            server = make_conninfo(plain, user="limited")
            refused("may not read all of the copy to compare it; GRANT pg_read_all_data TO limited", server=server)
            connection.execute("GRANT pg_read_all_data TO limited")
            done = database_restore("acme", into="restored", server=server, dry_run=False)
            assert done.verdict in (Verdict.OK, Verdict.INFO), done.headline
            owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
            assert ask(plain, owner, "restored") == ("plain_owner",)
        finally:
            for name in ("plain", "restored"):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute("DROP ROLE limited, plain_owner")


def test_a_copy_that_differs_keeps_its_temporary_name_and_says_what_it_is(postgres, stored, acme):
    with psycopg.connect(stored[3], autocommit=True) as connection:
        connection.execute("UPDATE nokey SET line = 'other' WHERE ctid = (SELECT min(ctid) FROM nokey)")
        try:
            (other,) = database_backup("acme").backups
        finally:
            connection.execute("UPDATE nokey SET line = 'same'")
    # Its archive is of another state than its fingerprint: as if rows had changed on the way.
    before = stored[1]
    swap(acme, before, other)
    said = refused(
        "fingerprint: table public.nokey: has other content than the source", backup=other.backup_id, database="shop"
    )
    (kept,) = [name for name in databases(postgres) if name.startswith("nightshift_restore_")]
    assert f"the copy stays as {kept}" in said
    assert f"ALTER DATABASE {kept} RENAME TO restored" in said
    comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    assert "it differs from the backup" in ask(stored[3], comment, kept)[0]
    done = database_restore("acme", into="restored", backup=before.backup_id, dry_run=False)
    assert done.verdict in (Verdict.OK, Verdict.INFO)
    assert databases(postgres) >= {"restored", kept}, "no later run removes it"


def swap(folder, whole, other):
    """Give a backup the archive and table of contents of another, with a manifest that says so."""
    path = folder / other.prefix / "manifest.json"
    files = []
    for file in other.files:
        if file.role in ("archive", "toc"):
            taken = whole.file(file.role)
            shutil.copyfile(folder / taken.key, folder / file.key)
            files.append(taken.model_copy(update={"key": file.key}))
        else:
            files.append(file)
    path.chmod(0o600)
    path.write_text(other.model_copy(update={"files": tuple(files)}).model_dump_json())


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


def pg_restore_that(does, folder):
    """Client programs whose pg_restore does that first, when it restores; from now on they are those of acme."""
    real = embedded_binaries()
    folder.mkdir()
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        first = f'case "$*" in *--dbname*) {does};; esac\n' if name == "pg_restore" else ""
        (folder / name).write_text(f'#!/bin/sh\n{first}exec {real / name} "$@"\n')
        (folder / name).chmod(0o755)
    change_system(backup={"binaries": str(folder)})


@pytest.fixture
def held(acme, tmp_path):
    """A pg_restore that hangs, as one at a slow disk does."""
    pg_restore_that("sleep 600", tmp_path / "held")


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
    assert set(own_processes()) <= {"prefect"}, "its pg_restore was ended"
    end_orphans("nightshift run")  # as the next command does with the server of a killed one
    assert own_processes() == []


def test_the_command_restores_with_a_password_that_nobody_sees(postgres, guarded, acme, tmp_path, monkeypatch):
    secret = planted("for the restore ")
    monkeypatch.setenv("ACME_GUARDED", secret)
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE guarded PASSWORD {}").format(secret))
    change_system(databases=[{"name": "shop", "dsn": guarded, "password": "env:ACME_GUARDED"}])
    database_restore("acme", into="restored")
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
