"""The audit of a server finds what was planted, and says what it may not read."""

import psycopg
import pytest

from tasks.base.findings import ScanState, Severity
from tasks.base.system import Database
from tasks.postgres.audit import RULES, audit

PLANTED = """
CREATE ROLE audit_boss SUPERUSER LOGIN PASSWORD 'x' VALID UNTIL '2099-01-01';
CREATE ROLE audit_copy REPLICATION NOLOGIN;
CREATE ROLE audit_all BYPASSRLS CREATEROLE NOLOGIN;
CREATE ROLE audit_member NOLOGIN IN ROLE audit_boss;
CREATE ROLE audit_runs NOLOGIN IN ROLE pg_execute_server_program;
CREATE ROLE audit_old LOGIN PASSWORD 'md50123456789abcdef0123456789abcdef';
CREATE ROLE audit_plain LOGIN PASSWORD 'planted-audit';
CREATE SCHEMA audit_open; GRANT CREATE ON SCHEMA audit_open TO PUBLIC;
CREATE FUNCTION audit_open.power() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION audit_open.closed() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION audit_open.closed FROM PUBLIC
"""
ROLES = ("member", "boss", "copy", "all", "runs", "old", "plain")


@pytest.fixture
def planted(shop):
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute(PLANTED.encode())
        yield shop
        connection.execute("DROP SCHEMA audit_open CASCADE")
        connection.execute("DROP OWNED BY audit_plain")
        for role in ROLES:
            connection.execute(f"DROP ROLE audit_{role}".encode())


def found(scan):
    return {(finding.rule, finding.location.split(" (")[0]) for finding in scan.findings}


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
        ("md5-password", "audit_old"),
        ("login-without-expiry", "audit_old"),
        ("login-without-expiry", "audit_plain"),
        ("public-create", "audit_open"),
        ("public-definer-function", "audit_open.power()"),
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
