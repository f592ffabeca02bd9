"""The audit of a server finds what was planted, and says what it may not read."""

import psycopg
import pytest

from tasks.base.findings import ScanState, Severity
from tasks.base.system import Database
from tasks.postgres import accounts, queries
from tasks.postgres.audit import RULES, audit
from tests.real.servers import own_server

PLANTED = """
CREATE ROLE audit_boss SUPERUSER LOGIN PASSWORD 'x' VALID UNTIL '2099-01-01';
CREATE ROLE audit_copy REPLICATION NOLOGIN;
CREATE ROLE audit_all BYPASSRLS CREATEROLE NOLOGIN;
CREATE ROLE audit_member NOLOGIN IN ROLE audit_boss;
CREATE ROLE audit_runs NOLOGIN IN ROLE pg_execute_server_program;
CREATE ROLE audit_reads NOLOGIN IN ROLE pg_read_all_data, pg_signal_backend, audit_all;
CREATE ROLE audit_old LOGIN PASSWORD 'md50123456789abcdef0123456789abcdef';
CREATE ROLE audit_plain LOGIN PASSWORD 'planted-audit';
CREATE SCHEMA audit_open; GRANT CREATE ON SCHEMA audit_open TO PUBLIC;
CREATE FUNCTION audit_open.power() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION audit_open.closed() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION audit_open.closed FROM PUBLIC;
GRANT USAGE ON SCHEMA audit_open TO PUBLIC;
CREATE FUNCTION audit_open.raw(text) RETURNS int LANGUAGE internal AS 'textlen'
"""
ROLES = ("member", "reads", "boss", "copy", "all", "runs", "old", "plain")


@pytest.fixture
def planted(shop):
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute(PLANTED.encode())
        yield shop
        connection.execute("DROP SCHEMA audit_open CASCADE")
        connection.execute("DROP OWNED BY audit_plain")
        for role in ROLES:
            connection.execute(f"DROP ROLE audit_{role}".encode())


# Options of ldap, what pg_hba_file_rules of Debian's PostgreSQL 15.18 showed of them, and whether it asks in clear.
BEGIN, END = "ldapserver=dir.example", ("ldapprefix=uid=", "ldapscope=2")
URL = ("ldapport=636", "ldapscheme=ldaps", "ldapbasedn=dc=x", "ldapsearchattribute=uid", "ldapscope=2")
BOUND = ("ldapbasedn=dc=x", "ldapbindpasswd=unseen41-bind", "ldapscope=2")
DIRECTORIES = {
    "plain": (f'{BEGIN} ldapprefix="uid="', (BEGIN, *END), True),
    "bound": (f'{BEGIN} ldapbasedn="dc=x" ldapbindpasswd=unseen41-bind', (BEGIN, *BOUND), True),
    "far": ('ldapserver="::1 dir.example" ldapprefix="uid="', ("ldapserver=::1 dir.example", *END), True),
    "tls": (f'{BEGIN} ldaptls=1 ldapprefix="uid="', (BEGIN, "ldaptls=true", *END), False),
    "scheme": (f'{BEGIN} ldapscheme=ldaps ldapprefix="uid="', (BEGIN, "ldapscheme=ldaps", *END), False),
    "url": ('ldapurl="ldaps://dir.example/dc=x?uid?sub"', (BEGIN, *URL), False),
    "here": ('ldapserver=localhost ldapprefix="uid="', ("ldapserver=localhost", *END), False),
}
IN_CLEAR = {name for name, (_, _, in_clear) in DIRECTORIES.items() if in_clear}


def found(scan):
    return {(finding.rule, finding.location.split(" (")[0]) for finding in scan.findings}


def of_rules(scan):
    """The findings of pg_hba.conf by their user, without those that hold for everybody."""
    parted = [(rule, thing.split()[2]) for rule, thing in found(scan) if rule.startswith("hba-") and " all " in thing]
    return {(rule, user) for rule, user in parted if user != "all"}


def test_what_was_planted_is_found_with_its_severity(planted):
    scan = audit(Database(name="shop", dsn=planted))
    assert scan.state is ScanState.FINDINGS, scan.reason
    assert {one for one in found(scan) if "audit" in one[1]} == {
        ("superuser", "audit_boss"),
        ("replication", "audit_copy"),
        ("bypass-row-security", "audit_all"),
        ("create-role", "audit_all"),
        ("member-of-superuser", "audit_member"),
        ("member-of-pg-execute-server-program", "audit_runs"),
        ("member-of-pg-read-all-data", "audit_reads"),
        ("member-of-pg-signal-backend", "audit_reads"),
        ("member-of-powerful-role", "audit_reads in audit_all"),
        ("md5-password", "audit_old"),
        ("login-without-expiry", "audit_old"),
        ("login-without-expiry", "audit_plain"),
        ("public-create", "audit_open"),
        ("public-usage", "audit_open"),
        ("public-definer-function", "audit_open.power()"),
        ("public-untrusted-function", "audit_open.raw(text)"),
    }
    rules = {finding.rule: finding for finding in scan.findings}
    assert rules["hba-trust"].severity is Severity.CRITICAL, "the test's server trusts this host"
    assert rules["public-create"].title == RULES["public-create"][1]
    assert "md50123456789abcdef" not in repr(scan)


def test_what_the_role_may_not_read_makes_the_audit_incomplete_with_its_grant(planted):
    plain = psycopg.conninfo.make_conninfo(planted, user="audit_plain")
    scan = audit(Database(name="shop", dsn=plain))
    assert scan.state is ScanState.INCOMPLETE
    assert ("superuser", "audit_boss") in found(scan), "what it may read is told"
    _, statements = scan.reason.split("as a superuser: ")
    with psycopg.connect(planted, autocommit=True) as connection:
        for statement in statements.split("; "):
            connection.execute(statement.encode())
    scan = audit(Database(name="shop", dsn=plain))
    assert scan.state is ScanState.FINDINGS, scan.reason
    assert {rule for rule, _ in found(scan)} >= {"md5-password", "hba-trust"}


def test_a_server_that_does_not_answer_is_a_failed_audit(planted):
    scan = audit(Database(name="shop", dsn="host=127.0.0.1 port=1 dbname=shop"))
    assert (scan.state, scan.findings) == (ScanState.FAILED, ())
    assert "look whether the server runs" in scan.reason


@pytest.fixture(scope="module")
def telling():
    """A server of our own that counts statements, and that listens where only a lookup tells that it is this host."""
    options = {"shared_preload_libraries": "pg_stat_statements", "listen_addresses": "0x7f.1"}
    with own_server(options) as server:
        yield server


def test_a_server_that_takes_passwords_in_clear_is_told_rule_by_rule(telling):
    rules = telling.data / "pg_hba.conf"
    before = rules.read_text()
    radius = "radius radiusservers=10.0.0.1 radiussecrets=unseen41-first"
    lines = (
        "host all ann 10.0.0.0/8 password", f"host all ben 10.0.0.0/8 {radius}", "hostssl all cleo 10.0.0.0/8 trust",
        "local all dora password", "host all eve 10.0.0.0/8 ident", "host all fay 10.0.0.0/8 scram-sha-256",
        "host all gus 127.evil.example password", "host all hal ::1/128 password", "host all ida 127.0.0.1/32 ident",
        "local all jan ident", "local all kim peer", "host all lou 10.0.0.0/8 reject", "host all max all trust",
        "host all nan nonsense", f"host all oz 10.0.0.0/8 {radius} unseen41-second",
    )  # fmt: skip
    rules.write_text(before + "\n".join(lines) + "\n")
    dsn = psycopg.conninfo.make_conninfo(telling.dsn("postgres"), options="-c password_encryption=md5")
    try:
        scan = audit(Database(name="shop", dsn=dsn))
    finally:
        rules.write_text(before)
    assert scan.state is ScanState.FINDINGS, scan.reason
    assert of_rules(scan) == {
        ("hba-cleartext", "ann"), ("hba-cleartext", "ben"), ("hba-radius", "ben"), ("hba-without-effect", "cleo"),
        ("hba-password", "dora"), ("hba-ident", "eve"), ("hba-cleartext", "gus"), ("hba-password", "hal"),
        ("hba-trust", "max"),
    }  # fmt: skip
    first = len(before.splitlines()) + 1
    assert {one.location for one in scan.findings if one.rule == "hba-error"} == {
        f"pg_hba.conf line {first + 13} (end-of-line before authentication method)",
        f"pg_hba.conf line {first + 14} (authentication option not in name=value format)",
    }
    assert "unseen41" not in repr(scan)
    assert {rule for rule, _ in found(scan)} >= {"ssl-off", "md5-encryption"}


def test_a_directory_that_is_asked_without_tls_gets_the_password_in_clear(telling):
    """By the rows of a server that speaks LDAP, which that of the wheel does not; tests/soak has the real one."""
    recorded = b"pg_temp.recorded_rules"
    with psycopg.connect(telling.dsn("postgres"), autocommit=True) as session:
        session.execute(b"CREATE TABLE " + recorded + b" AS TABLE pg_hba_file_rules WITH NO DATA")
        columns = b" (type, database, user_name, address, netmask, auth_method, options)"
        values = b" VALUES ('host', '{all}', %s, '10.0.0.0', '255.0.0.0', 'ldap', %s)"
        for name, (_, shown, _) in DIRECTORIES.items():
            session.execute(b"INSERT INTO " + recorded + columns + values, ([name], list(shown)))
        query = queries.load("audit/access_rules").replace(b"pg_catalog.pg_hba_file_rules", recorded)
        rows = session.execute(query).fetchall()
    assert {thing.split()[2] for rule, thing, _ in rows if rule == "hba-ldap-cleartext"} == IN_CLEAR
    assert {thing.split()[2] for rule, thing, _ in rows if rule == "hba-cleartext"} == set(DIRECTORIES)
    assert "unseen41" not in repr(rows)


def test_a_role_that_nobody_uses_is_told_only_when_the_server_can_tell(telling):
    database = Database(name="shop", dsn=telling.dsn("postgres"))
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        assert "CREATE EXTENSION pg_stat_statements" in accounts.audit(database, 1).reason
        connection.execute("CREATE EXTENSION pg_stat_statements")
        for role in ("lazy", "busy", "connected"):
            connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute("CREATE ROLE gone LOGIN VALID UNTIL '2020-01-01'; CREATE ROLE team NOLOGIN")
        scan = accounts.audit(database, 90)
        assert (scan.state, scan.findings) == (ScanState.INCOMPLETE, ()), "it counts since a moment ago"
        assert "which says nothing yet of 90 days; ask again on" in scan.reason
        with psycopg.connect(database.dsn, user="busy") as work:
            work.execute("SELECT 1")
        with psycopg.connect(database.dsn, user="connected"):
            # As if the day were over: what is asked is whether it was seen since the server counts.
            scan = accounts.audit(database, 0)
        assert {(one.rule, one.location.split(" (")[0]) for one in scan.findings} == {("unused-role", "lazy")}
        seen = {one.name: one for one in accounts.look(database).accounts}
        assert (seen["lazy"].last_seen, "no statement since" in seen["lazy"].seen_by) == (None, True)
        assert seen["busy"].last_seen is not None, "PostgreSQL 17 and newer know when a statement was first seen"
        connection.execute("DROP EXTENSION pg_stat_statements")


def test_the_rights_of_every_role_are_told_in_words(planted):
    with psycopg.connect(planted, autocommit=True) as connection:
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO audit_plain")
    seen = {one.name: one for one in accounts.look(Database(name="shop", dsn=planted)).accounts}
    assert set(seen["audit_boss"].rights) == {"superuser", "valid until 2099-01-01"}
    assert seen["audit_plain"].rights == ("SELECT on relations of schema public",)
    assert set(seen["audit_reads"].rights) == {
        "member of audit_all",
        "member of pg_read_all_data",
        "member of pg_signal_backend",
    }
    assert {"CREATE on schema audit_open", "USAGE on schema audit_open"} <= set(seen["PUBLIC"].rights)
    assert (seen["audit_plain"].can_log_in, seen["audit_copy"].can_log_in) == (True, False)
    assert "pg_monitor" not in seen
    assert "no session now" in seen["audit_plain"].seen_by
