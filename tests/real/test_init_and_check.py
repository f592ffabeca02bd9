"""`nightshift init` and `check` on a real server: what is written works, what is missing is named and mended."""

import re
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pyrage
import pytest
import yaml

from deployments import cli
from flows.database_backup import database_backup
from tasks.base import clock
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tasks.postgres import clock_skew
from tasks.postgres.clients import embedded_binaries
from tests.real.conftest import write_system

LEAST_PRIVILEGE = Path(__file__).resolve().parents[2] / "docs" / "least_privilege.md"


@pytest.fixture
def nightshift(system, capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        output = capsys.readouterr()
        said = ended.value.code if isinstance(ended.value.code, str) else ""
        return (0 if ended.value.code == 0 else 1), output.out, output.err + said

    return run


@pytest.fixture
def systems(system):
    return system.parent / "systems"


@pytest.fixture
def reader(shop):
    """A login that may do nothing yet."""
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS nightshift")
        connection.execute("CREATE ROLE nightshift LOGIN")
        yield psycopg.conninfo.make_conninfo(shop, user="nightshift")
        connection.execute("DROP OWNED BY nightshift")
        connection.execute("DROP ROLE nightshift")


def test_what_init_writes_passes_check_and_backs_up(nightshift, systems, shop, tmp_path, monkeypatch):
    identity = pyrage.x25519.Identity.generate()
    monkeypatch.setenv("FRESH_IDENTITY", str(identity))
    code, out, _ = nightshift(
        "init", "fresh", "--dsn", shop, "--repository", f"file://{tmp_path}/fresh",
        "--recipient", str(identity.to_public()), "--identity", "env:FRESH_IDENTITY",
    )  # fmt: skip
    assert (code, "next: nightshift check fresh" in out, "WARN" in out) == (0, True, False)
    written = load_system("fresh")
    assert written.backup.role_passwords
    assert written.databases[0].name == "shop"
    assert {schedule.flow for schedule in written.schedules} == {
        "database_backup", "backup_verification", "restore_test", "backup_retention",
    }  # fmt: skip
    code, out, err = nightshift("check", "fresh")
    assert code == 0, out + err
    assert "FAIL" not in out
    assert database_backup("fresh").verdict is Verdict.OK


def test_init_without_a_key_says_that_backups_are_in_clear(nightshift, shop):
    code, out, _ = nightshift("init", "fresh", "--dsn", shop, "--repository", "s3://bucket/prefix")
    assert code == 0
    assert "WARN: backups will be stored in clear; make a key with 'age-keygen" in out


def test_init_sees_that_a_role_may_not_read_role_passwords(nightshift, reader):
    assert nightshift("init", "fresh", "--dsn", reader, "--repository", "s3://bucket/prefix")[0] == 0
    assert not load_system("fresh").backup.role_passwords


def test_init_makes_a_valid_name_of_any_database_name(nightshift, postgres, shop):
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute('CREATE DATABASE "Größe, {x}: 2"')
        try:
            dsn = psycopg.conninfo.make_conninfo(shop, dbname="Größe, {x}: 2")
            assert nightshift("init", "1e5", "--dsn", dsn, "--repository", "s3://bucket/prefix")[0] == 0
        finally:
            connection.execute('DROP DATABASE "Größe, {x}: 2"')
    assert load_system("1e5").databases[0].name == "gr-e-x-2"
    assert load_system("1e5").databases[0].dsn == dsn


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--dsn": "host=127.0.0.1 user=joe password=planted-1"}, "into ~/.pgpass"),
        ({"--dsn": "postgresql://joe:planted-1@127.0.0.1/shop"}, "into ~/.pgpass"),
        ({"--dsn": "hots=127.0.0.1"}, "is not valid"),
        ({"--dsn": "host=127.0.0.1 port=1"}, "look whether the server runs"),
        ({"--repository": "/var/backups"}, "write file:///absolute/path or s3://bucket/prefix"),
        ({"--recipient": "age1wrong"}, "is no age public key"),
        ({"--identity": "AGE-SECRET-KEY-1PLANTED"}, "never the value itself"),
        ({"name": "No Name"}, "no file was written: name"),
        ({"name": "acme"}, "exists and is never overwritten"),
    ],
)
def test_init_refuses_with_one_sentence_and_writes_nothing(nightshift, systems, shop, change, sentence):
    before = {path: path.read_bytes() for path in systems.iterdir()}
    options = {"--dsn": shop, "--repository": "file:///tmp/x"} | change
    name = options.pop("name", "fresh")
    code, out, err = nightshift("init", name, *[part for pair in options.items() for part in pair])
    assert code == 1
    assert sentence in err
    assert "planted" not in (out + err).lower()
    assert len(err.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in systems.iterdir()} == before


def test_every_missing_right_is_named_with_the_statement_that_mends_it(nightshift, systems, shop, reader, identity):
    write_system(systems, reader, systems.parent / "repository", str(identity.to_public()))
    code, out, _ = nightshift("check", "acme")
    assert code == 1
    for words in (
        'may not use 1 schema ("Näme mit Leer")',
        "may not read 14 tables (",
        "may not read 5 sequences (",
        "does not see all rows of 1 table with row security (public.secured)",
        "may not read 1 large object (",
        "may not read the passwords of roles",
    ):
        assert words in out
    statements = re.findall(r"as a superuser: (.*)", out)
    with psycopg.connect(shop, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
    code, out, err = nightshift("check", "acme")
    assert code == 0, out + err
    assert database_backup("acme").verdict is Verdict.OK


def test_few_missing_rights_are_granted_one_by_one(nightshift, systems, shop, reader, identity):
    write_system(systems, reader, systems.parent / "repository", str(identity.to_public()))
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute('GRANT USAGE ON SCHEMA "Näme mit Leer" TO nightshift')
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO nightshift")
    _, out, _ = nightshift("check", "acme")
    assert 'GRANT SELECT ON TABLE "Näme mit Leer"."Größe" TO nightshift' in out
    assert re.search(r"GRANT SELECT ON SEQUENCE .*public.kinds_id_seq, public.orders.* TO nightshift", out)


def test_the_role_of_the_documentation_is_enough(nightshift, systems, shop, reader, identity):
    write_system(systems, reader, systems.parent / "repository", str(identity.to_public()))
    block = re.search(r"```sql\n(.*?)```", LEAST_PRIVILEGE.read_text(), re.DOTALL)[1]
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("DROP ROLE nightshift")
        connection.execute(block)
    code, out, err = nightshift("check", "acme")
    assert code == 0, out + err
    assert database_backup("acme").verdict is Verdict.OK


def test_what_audit_and_rotation_lack_is_named_with_the_statement_that_gives_it(
    nightshift, systems, reader, identity, tmp_path
):
    def checked(**app):
        entry = {"name": "app", "kind": "role", "role": "postgres", "max_age_days": 90}
        place = {"kind": "file", "path": str(tmp_path / "app.password")}
        write_system(
            systems, reader, systems.parent / "repository", str(identity.to_public()),
            credentials={"entries": [entry | {"place": place} | app]},
            schedules=[{"flow": "security_audit", "slug": "monthly", "cron": "0 4 1 * *"}],
        )  # fmt: skip
        return nightshift("check", "acme")[1]

    out = checked()
    assert re.search(r"INCOMPLETE postgres shop: reach: .*as a superuser: GRANT .*pg_read_all_data TO nightshift", out)
    assert re.search(r"FAIL +app: rotation: .*GRANT", out), out
    out = checked(place={"kind": "file", "path": "/nowhere/app.password"})
    assert re.search(r"FAIL +app: rotation: cannot write .*there is no folder /nowhere; make it", out), out


def test_every_problem_is_named_in_one_pass(nightshift, systems, shop, identity, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ACME_IDENTITY", str(pyrage.x25519.Identity.generate()))
    write_system(
        systems, "host=127.0.0.1 port=1 dbname=shop", tmp_path / "file" / "repository", str(identity.to_public()),
        databases=[
            {"name": "gone", "dsn": "host=127.0.0.1 port=1 dbname=shop"},
            {"name": "shop", "dsn": shop, "password": "env:NOT_SET_ANYWHERE"},
            {"name": "misspelt", "dsn": psycopg.conninfo.make_conninfo(shop, dbname="shopp")},
        ],
        schedules=[
            {"flow": "database_bakcup", "slug": "a", "cron": "0 2 * * *"},
            {"flow": "database_backup", "slug": "b", "cron": "0 25 * * *"},
            {"flow": "restore_test", "slug": "c", "parameters": {"pick": "oldest"}},
        ],
    )  # fmt: skip
    code, out, _ = nightshift("check", "acme")
    assert code == 1
    for words in (
        "unknown flow 'database_bakcup'; known are: ",
        "'0 25 * * *' is no cron",
        "restore_test c: restore_test does not take these parameters: ",
        "env:NOT_SET_ANYWHERE cannot be read (it is not set)",
        "cannot connect to 'gone'",
        'database "shopp" does not exist; correct dbname in the dsn',
        "the identity opens nothing that is encrypted to age1",
    ):
        assert words in out
    assert re.search(r"FAIL .*: repository: cannot (write|delete) .*Not a directory", out), out
    assert out.count("FAIL") == 9, out


def test_a_sandbox_that_could_not_restore_is_found(nightshift, systems, shop, identity, tmp_path):
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("pg_ctl", "postgres", "pg_dump", "pg_restore", "psql"):
        (binaries / name).symlink_to(embedded_binaries() / name)
    policy = {"identity": "env:ACME_IDENTITY", "binaries": str(binaries), "disk_budget_bytes": 1000}

    def checked():
        write_system(systems, shop, tmp_path / "repository", str(identity.to_public()), restore_test=policy)
        return nightshift("check", "acme")

    code, out, _ = checked()
    assert code == 1
    assert f"{binaries} lacks initdb, which the sandbox needs; install postgresql-18" in out
    (binaries / "initdb").symlink_to(embedded_binaries() / "initdb")
    code, out, _ = checked()
    assert code == 0, out
    assert "INFO       shop: sandbox" in out
    assert "has no amcheck, so restore tests stay 'partially proven'" in out
    assert "WARN       shop: sandbox: a restore may need" in out
    (tmp_path / "share" / "extension").mkdir(parents=True)
    (tmp_path / "share" / "extension" / "plpgsql.control").touch()
    config = binaries / "pg_config"
    config.write_text(f"#!{sys.executable}\nprint({str(tmp_path / 'share')!r})\n")
    config.chmod(0o755)
    code, out, _ = checked()
    assert code == 1
    assert "extensions citext are not installed for" in out


def test_a_clock_that_is_off_is_a_warning_of_check_and_backup(nightshift, monkeypatch):
    monkeypatch.setattr(clock_skew, "utc_now", lambda: clock.utc_now() - timedelta(hours=1))
    code, out, _ = nightshift("check", "acme")
    assert code == 0
    assert re.search(r"WARN +shop: clock: the server's clock is 3\.6e\+03 s ahead of this host's", out)
    ended = database_backup("acme", return_state=True)
    assert ended.name == "With warnings"
    assert "clock is" in ended.message


def test_backups_in_clear_and_restore_tests_without_a_key_are_told(nightshift, systems, shop, identity):
    write_system(systems, shop, systems.parent / "repository", "", backup={"recipients": []}, schedules=[])
    assert "WARN       acme: keys: backups are stored in clear" in nightshift("check", "acme")[1]
    write_system(
        systems, shop, systems.parent / "repository", str(identity.to_public()), restore_test={},
        schedules=[{"flow": "restore_test", "slug": "weekly"}],
    )  # fmt: skip
    code, out, _ = nightshift("check", "acme")
    assert code == 1
    assert "without restore_test.identity no encrypted backup can be restored" in out


@pytest.mark.parametrize("secret", ["secret_access_key: abc: planted-1", "password: 'planted-1", "x: [planted-1"])
def test_a_file_that_is_no_yaml_names_the_line_and_not_its_text(nightshift, systems, secret):
    (systems / "acme.yaml").write_text(yaml.safe_dump({"name": "acme"}) + secret)
    code, out, err = nightshift("check", "acme")
    assert code == 1
    assert re.search(r"acme.yaml is no YAML: .* in line \d", err)
    assert "planted-1" not in out + err
