"""Databases that guard themselves: what their own settings, triggers and casts say ends no backup and no test."""

import psycopg
import pytest

from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.database_restore import database_restore
from flows.restore_test import restore_test
from tasks.base.backup import FingerprintPolicy
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.compare import compare
from tests.real.conftest import write_system

GUARDED = """
DROP SCHEMA public;
CREATE SCHEMA own;
CREATE TABLE own.names (name text);
CREATE TYPE own.place AS (street text, zip text);
CREATE FUNCTION own.said(own.place) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(name) FROM names); END';
CREATE CAST (own.place AS text) WITH FUNCTION own.said(own.place);
CREATE DOMAIN own.home AS own.place;
CREATE TABLE own.places (place own.place, home own.home, kept bpchar);
INSERT INTO own.places VALUES (ROW('a', '1'), ROW('b', '2'), 'x  '), (NULL, NULL, '');
CREATE TABLE own."two
lines" (id int);
CREATE TABLE own.logins (at timestamptz DEFAULT now());
CREATE FUNCTION own.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
  'BEGIN INSERT INTO own.logins DEFAULT VALUES; END';
CREATE FUNCTION own.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
  'BEGIN RAISE EXCEPTION ''no change without a ticket''; END';
SELECT lo_from_bytea(5, 'abc');
CREATE EVENT TRIGGER noted ON login EXECUTE FUNCTION own.note();
CREATE EVENT TRIGGER refused ON ddl_command_start EXECUTE FUNCTION own.refuse();
ALTER DATABASE guarded_shop SET standard_conforming_strings = off;
"""


@pytest.fixture
def guarded_shop(postgres, system):
    """A database that notes every login, refuses every change of a table, and is read-only unless one asks."""
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE guarded_shop TEMPLATE template0")
        with psycopg.connect(postgres.dsn("guarded_shop"), autocommit=True) as shop:
            shop.execute(GUARDED.encode())
        yield postgres.dsn("guarded_shop")
        connection.execute("DROP DATABASE guarded_shop WITH (FORCE)")


def changed(dsn, statement):
    """What the fingerprint finds after that statement."""
    shop = Database(name="shop", dsn=dsn)
    before = collect(shop, None, FingerprintPolicy(), "test")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)
    return {one.target for one in compare(before, collect(shop, None, FingerprintPolicy(), "test"))}


def test_what_a_database_forbids_or_notes_is_no_alarm(guarded_shop, postgres, system, identity, tmp_path):
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("ALTER DATABASE guarded_shop SET default_transaction_read_only = on")
    # A login that may not write could not be noted, and is refused.
    writing = psycopg.conninfo.make_conninfo(guarded_shop, options="-c default_transaction_read_only=off")
    write_system(tmp_path / "systems", writing, system, str(identity.to_public()))
    database_backup(system="acme")
    assert backup_verification(system="acme").verdict is Verdict.OK
    (receipt,) = restore_test(system="acme").receipts
    told = [(one.name, one.verdict, one.target) for one in receipt.rungs if one.verdict is not Verdict.OK]
    assert told == [
        ("fingerprint", Verdict.INFO, receipt.backup_id),
        ("fingerprint", Verdict.INFO, "schema public"),
    ]
    assert receipt.proven == "proven"
    # Nor is it one on a real server, where the triggers of the copy are at work as soon as they are there.
    beside = database_restore("acme", into="guarded_restored", dry_run=False)
    assert beside.verdict is Verdict.INFO, beside.headline
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE guarded_restored WITH (FORCE)")


def test_what_a_cast_of_the_user_or_of_bpchar_hides_is_found(guarded_shop):
    for change in ("place.zip = '3'", "home = ROW('b', '3')", "kept = nullif(kept, '')", "kept = rtrim(kept)"):
        statement = f"UPDATE own.places SET {change}"
        assert changed(guarded_shop, statement) - {"table own.logins"} == {"table own.places"}, change
