"""The audit of a database server: roles, memberships, rights of PUBLIC, passwords, pg_hba.conf, settings."""

from functools import partial
from typing import cast

import psycopg

from tasks.base.accounts import Rules, access_finding
from tasks.base.findings import Finding, Scan, Severity
from tasks.base.scans import PartlySeenError, Scanning, as_scan
from tasks.base.system import Database, System
from tasks.postgres import accounts, queries
from tasks.postgres.fingerprint.session import reader

_APPLICATION = "nightshift:audit"
# Severity and what it means, by rule. Sources: PostgreSQL's documentation of role attributes, predefined roles,
# pg_hba.conf and of SECURITY DEFINER functions.
RULES: Rules = {
    "superuser": (Severity.HIGH, "a superuser besides the first one: no right is ever asked of it"),
    "replication": (Severity.MEDIUM, "may copy the whole cluster and keep its WAL from being removed"),
    "bypass-row-security": (Severity.LOW, "sees all rows whatever the policies say"),
    "create-role": (Severity.MEDIUM, "may make roles, and from 16 on administers those it made"),
    "login-without-expiry": (Severity.LOW, "its password is valid for ever (VALID UNTIL)"),
    "member-of-superuser": (Severity.HIGH, "may become a superuser by SET ROLE"),
    "member-of-pg-execute-server-program": (Severity.HIGH, "may run any program as the server's user"),
    "member-of-pg-write-server-files": (Severity.HIGH, "may write any file as the server's user"),
    "member-of-pg-read-server-files": (Severity.HIGH, "may read any file as the server's user"),
    "member-of-pg-write-all-data": (Severity.MEDIUM, "may change every table"),
    "member-of-powerful-role": (Severity.MEDIUM, "may by SET ROLE copy the cluster, make roles or pass row security"),
    "member-of-pg-read-all-data": (Severity.LOW, "may read every table"),
    "member-of-pg-signal-backend": (Severity.LOW, "may end the sessions of others"),
    "public-usage": (Severity.LOW, "every role may look up and use what the schema holds"),
    "public-untrusted-function": (Severity.HIGH, "every role may run code that the server does not hold back"),
    "public-create": (Severity.HIGH, "every role may put a function into the search path of others (CVE-2018-1058)"),
    "public-definer-function": (Severity.MEDIUM, "every role may run it with the rights of its owner"),
    "md5-password": (Severity.HIGH, "the stored MD5 is enough to log in; set it again with scram-sha-256"),
    "hba-trust": (Severity.CRITICAL, "whoever reaches the server is let in without a password"),
    "hba-cleartext": (Severity.HIGH, "the password crosses the network in clear"),
    "hba-password": (Severity.LOW, "the server gets the password in clear, over TLS, its socket or loopback"),
    "hba-ldap-cleartext": (
        Severity.HIGH,
        "the password goes on to the directory in clear: neither ldaptls nor ldaps",
    ),
    "hba-radius": (Severity.MEDIUM, "the password goes to another host, hidden by MD5 and a shared secret (RFC 2865)"),
    "hba-ident": (Severity.HIGH, "the client's own host says who it is"),
    "hba-error": (Severity.MEDIUM, "the rule cannot be read: the server would refuse this file at its next reload"),
    "hba-without-effect": (Severity.LOW, "it never holds as the server is set up or built: a later rule decides"),
    "ssl-off": (Severity.HIGH, "the server listens beyond this host and offers no TLS"),
    "md5-encryption": (Severity.MEDIUM, "new passwords are stored as MD5"),
}
# What a role needs beyond the catalogs that everyone reads.
_RIGHTS = {
    "audit/passwords": "GRANT pg_read_all_data TO {role}",
    "audit/access_rules": "GRANT SELECT ON pg_hba_file_rules TO {role}; "
    "GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO {role}",
}


def audits(system: System) -> list[Scanning]:
    """One audit per database of the system, and of who uses its roles; a shared server is told for each of them."""
    return [*((_scope(one), partial(audit, one)) for one in system.databases), *accounts.audits(system)]


def audit(database: Database) -> Scan:
    """Read the server's catalogs; what this role may not read makes the audit incomplete, with the GRANT for it."""
    return as_scan(_scope(database), "catalogs", partial(_look, database))


def _look(database: Database) -> list[Finding]:
    found: list[Finding] = []
    missing: list[str] = []
    with reader(database, None, _APPLICATION) as session:
        role = cast(tuple[str], session.execute("SELECT quote_ident(current_user)").fetchone())[0]
        for name in queries.names("audit"):
            try:
                with session.transaction():
                    rows = cast(list[tuple[str, str, str]], session.execute(queries.load(name)).fetchall())
            except psycopg.errors.InsufficientPrivilege:
                missing.append(_RIGHTS[name].format(role=role))
                continue
            found += [access_finding(RULES, _scope(database), *row) for row in rows]
    if missing:
        raise PartlySeenError(
            f"{role} may not read everything of '{database.name}'; as a superuser: {'; '.join(missing)}", found
        )
    return found


def _scope(database: Database) -> str:
    return f"postgres {database.name}"
