"""A backup restored beside what is there: planned without a change, compared before it gets its name."""

import shutil

import psycopg
import pyrage
from psycopg.conninfo import make_conninfo

from flows.database_backup import database_backup
from flows.database_restore import database_restore
from tasks.base.words import Verdict
from tests.real.conftest import change_system
from tests.real.restore.beside import ask, databases, refused, steps, whole_server

NEW = 'Läden "Neu" 3:00'


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
