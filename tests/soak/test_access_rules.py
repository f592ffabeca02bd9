"""Rules of pg_hba.conf on a server that speaks LDAP: Debian's 15, as that of the wheel does not."""

import psycopg

from tasks.base.system import Database
from tasks.postgres.audit import audit
from tests.real.servers import own_server
from tests.real.test_audit import DIRECTORIES, IN_CLEAR, of_rules
from tests.soak.test_versions import installation


def test_a_directory_that_is_asked_without_tls_gets_the_password_in_clear(tmp_path):
    rules = [f"host all {name} 10.0.0.0/8 ldap {options}" for name, (options, _, _) in DIRECTORIES.items()]
    rules += ["hostssl all nobody 10.0.0.0/8 pam", "host all all 127.0.0.1/32 trust", ""]
    with own_server({}, rules="\n".join(rules), binaries=installation(15, tmp_path)) as server:
        dsn = server.dsn("postgres")
        with psycopg.connect(dsn) as session:
            rows = session.execute("SELECT user_name[1], options FROM pg_hba_file_rules WHERE auth_method = 'ldap'")
            assert {name: tuple(options) for name, options in rows.fetchall()} == {
                name: shown for name, (_, shown, _) in DIRECTORIES.items()
            }
        seen = of_rules(audit(Database(name="shop", dsn=dsn)))
    assert {name for rule, name in seen if rule == "hba-ldap-cleartext"} == IN_CLEAR
    assert {name for rule, name in seen if rule == "hba-cleartext"} == set(DIRECTORIES)
    assert ("hba-without-effect", "nobody") in seen, "its TLS is off"
