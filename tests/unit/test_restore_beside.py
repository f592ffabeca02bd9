"""What is decided about a restore without a server: statements, roles, versions, and which difference is none."""

from types import SimpleNamespace

import pytest

from tasks.base.errors import ConfigurationError, RefusedError
from tasks.base.system import System
from tasks.base.words import Verdict
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.restore.beside import Request, check_request
from tasks.postgres.restore.differences import differences
from tasks.postgres.restore.globals import needed, read_globals
from tasks.postgres.restore.readiness import programs_fit, server_fits
from tasks.postgres.restore.statements import of_the_database
from tasks.postgres.restore.target import ServerFacts

COPY = "nightshift_restore_0badcafe"
OF_DATABASE = r"""
--
-- Name: Läden; Type: DATABASE; Schema: -
--
SET standard_conforming_strings = on;
\restrict abc;def
CREATE DATABASE "Läden; DATABASE x" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8';
\connect -reuse-previous=on "dbname='Läden; DATABASE x'"
COMMENT ON DATABASE "Läden; DATABASE x" IS 'it''s
ALTER DATABASE shop OWNER TO nobody; -- said "so"';
ALTER ROLE "a ""DATABASE"" b" IN DATABASE "Läden; DATABASE x" SET work_mem TO '8MB';
GRANT CREATE,CONNECT ON DATABASE "Läden; DATABASE x" TO "a ""DATABASE"" b";
"""
GLOBALS = """
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA;x';
CREATE ROLE "The Boss";
ALTER ROLE "The Boss" WITH SUPERUSER INHERIT LOGIN;
COMMENT ON ROLE "The Boss" IS 'CREATE ROLE ghost;';
ALTER ROLE app SET search_path TO 'shop', 'public';
CREATE TABLESPACE fast OWNER app LOCATION '/fast';
GRANT "The Boss" TO app WITH ADMIN OPTION GRANTED BY postgres;
GRANT pg_monitor TO "The Boss" WITH INHERIT TRUE GRANTED BY "the ""one"" there";
GRANT SET ON PARAMETER work_mem TO app;
"""


def test_only_the_name_of_the_database_is_replaced_in_its_statements():
    found = [one.of_database(COPY) for one in of_the_database(OF_DATABASE)]
    assert [one.partition(" IS ")[0].partition(" WITH ")[0] for one in found] == [
        f"CREATE DATABASE {COPY}",
        f"COMMENT ON DATABASE {COPY}",
        f'ALTER ROLE "a ""DATABASE"" b" IN DATABASE {COPY} SET work_mem TO \'8MB\';',
        f'GRANT CREATE,CONNECT ON DATABASE {COPY} TO "a ""DATABASE"" b";',
    ]
    assert found[1].endswith("IS 'it''s\nALTER DATABASE shop OWNER TO nobody; -- said \"so\"';")


def test_of_the_globals_only_what_makes_the_missing_roles_is_taken():
    held = read_globals(GLOBALS)
    assert held.roles == {"app", "The Boss"}
    assert held.superusers(held.roles) == ["The Boss"]
    assert held.without_password(held.roles) == ["The Boss"]
    made = held.making(["app"])
    assert [one.split()[0] for one in made] == ["CREATE", "ALTER", "ALTER", "GRANT"]
    assert made[-1] == 'GRANT "The Boss" TO app WITH ADMIN OPTION;', "who grants is who restores"
    assert held.making(["The Boss"])[-1] == 'GRANT pg_monitor TO "The Boss" WITH INHERIT TRUE;'
    assert held.making([]) == []


def test_a_role_is_needed_by_who_owns_who_was_granted_and_who_has_settings():
    contents = ["215; 1259 16390 TABLE public kinds The Boss", "216; 0 0 COMMENT - EXTENSION citext "]
    objects = [
        "grant on table public.kinds to reader", "default privileges of maker on tables to its owner",
        "setting work_mem for tuned", "setting work_mem for spared everywhere", "user mapping mapped on far",
        "role idle", "membership idle in app",
    ]  # fmt: skip
    missing = ["The Boss", "Boss2", "reader", "maker", "tuned", "spared", "mapped", "idle", "app"]
    assert needed(missing, contents, objects) == ["The Boss", "maker", "mapped", "reader", "tuned"]


def facts(version_num, **changes):
    told = {"version": "x", "is_standby": False, "role": "app", "is_superuser": True}
    rights = {"may_create_databases": True, "may_create_roles": True}
    return ServerFacts(version_num=version_num, **(told | rights | changes))


def test_an_older_server_and_a_standby_are_refused():
    manifest = SimpleNamespace(server_version_num=170002, client_major=18)
    with pytest.raises(RefusedError, match="older than the 17 that the backup is from"):
        server_fits(manifest, facts(160004))
    with pytest.raises(RefusedError, match="is a standby"):
        server_fits(manifest, facts(180000, is_standby=True))
    assert server_fits(manifest, facts(170001))[0] is Verdict.OK
    with pytest.raises(RefusedError, match="pg_restore 18 cannot restore into a server 16"):
        programs_fit(manifest, None, facts(160004))
    assert programs_fit(manifest, None, facts(170004))[0] is Verdict.OK


def judged(before, there, name="Läden", passwords=True):
    source = Fingerprint(server_version_num=180000, tables=(), objects=before)
    restored = Fingerprint(server_version_num=180000, tables=(), objects=there)
    found = differences(source, restored, COPY, name, passwords=passwords)
    return {one.target: one.verdict for one in found}


def test_a_copy_under_another_name_differs_in_nothing():
    before = {"database Läden": "1", 'owner of database "Läden"': "2", 'grant on database "Läden" to app': "3"}
    there = {key.replace('"Läden"', COPY).replace("Läden", COPY): value for key, value in before.items()}
    assert judged(before | {"comment on database Läden": "4"}, there | {f"comment on database {COPY}": "5"}) == {}
    assert judged(before, there | {f"owner of database {COPY}": "9"}) == {'owner of database "Läden"': Verdict.FAIL}


def test_what_belongs_to_the_server_is_told_by_name_and_is_no_failure():
    before = {
        "role app": "1", "role gone": "1", "membership app in owner": "1", "password of role app": "1",
        "setting work_mem for app everywhere": "1", "setting work_mem for app": "1", "comment on role app": "1",
    }  # fmt: skip
    there = dict.fromkeys(before, "2") | {"role new": "1", "membership new in owner": "1"}
    del there["role gone"]
    warned = ("role app", "role gone", "membership app in owner", "comment on role app")
    expected = dict.fromkeys((*warned, "setting work_mem for app everywhere"), Verdict.WARN)
    expected |= {"password of role app": Verdict.INFO, "setting work_mem for app": Verdict.FAIL}
    assert judged(before, there) == expected
    expected.pop("password of role app")
    assert judged(before, there, passwords=False) == expected


def test_many_roles_that_are_not_there_are_one_sentence():
    assert judged({f"role r{number}": "1" for number in range(30)}, {}) == {"30 roles": Verdict.WARN}


SYSTEM = {"name": "acme", "repository": {"url": "file:///x"}}
TWO = [{"name": "shop", "dsn": "host=standby dbname=shop", "lock_dsn": "host=primary"}, {"name": "b", "dsn": "host=b"}]


def test_the_server_is_the_databases_own_primary_unless_another_is_named():
    system = System(**SYSTEM, databases=TWO)
    assert check_request(Request(database="shop", into="x"), system).dsn == "host=primary"
    left = check_request(Request(database="left-the-file", into="x", server="service=other"), system)
    assert (left.name, left.dsn, left.password) == ("left-the-file", "service=other", None)
    with pytest.raises(ConfigurationError, match="has several databases; add database= one of: shop, b"):
        check_request(Request(database="", into="x"), system)
    with pytest.raises(ConfigurationError) as error:
        check_request(Request(database="shop", into="x", server="host=a password=planted-here"), system)
    assert "planted-here" not in str(error.value)
    for into in ("", "x" * 64, "nightshift_restore_0badcafe"):
        with pytest.raises(ConfigurationError, match="into=NAME"):
            check_request(Request(database="shop", into=into), system)
