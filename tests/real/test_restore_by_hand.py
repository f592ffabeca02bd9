"""A stored backup restored by hand: every command of its RESTORE.txt, entered as it stands, and nothing of ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from flows.database_backup import database_backup
from tasks.base import stopping
from tasks.base.backup import FingerprintPolicy
from tasks.base.system import Database
from tasks.postgres.backup.instructions import restore_by_hand
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.fingerprint.collect import collect, finish
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.server import LocalServer, server_folder
from tests.real.conftest import write_system


@pytest.fixture
def elsewhere():
    """An empty PostgreSQL on a socket only, as after a disaster; its superuser is called as the old one's."""
    stopping.reset()
    folder = server_folder(None)
    server = LocalServer(embedded_binaries(), folder, None, "postgres")
    try:
        server.create("UTF8", "C", {"fsync": "off"})
        server.start()
        yield server
    finally:
        stopping.reset()
        server.stop()
        shutil.rmtree(folder)


def commands_of(text: str, indent: str = "    ") -> list[str]:
    """The lines that are indented just so."""
    return [line.strip() for line in text.splitlines() if line.startswith(indent) and line[len(indent)] != " "]


def enter(lines: list[str], folder: Path, server: LocalServer, **variables: str) -> str:
    """Enter the lines into a shell that stops at the first that fails; return what it printed."""
    path = os.pathsep.join([str(embedded_binaries()), str(Path(sys.executable).parent), os.environ["PATH"]])
    place = {"PGHOST": str(server.folder), "PGPORT": "5432", "PGUSER": server.superuser}
    ran = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", "\n".join(lines)],
        cwd=folder, env={"PATH": path, "HOME": str(folder), **place, **variables},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr


@pytest.fixture
def copied(system, tmp_path):
    """The newest backup's objects, copied out of the repository's folder with cp; the folder and the manifest."""

    def copy():
        (manifest,) = database_backup("acme").backups
        folder = tmp_path / "by-hand"
        shutil.copytree(system / manifest.prefix, folder)
        (folder / "manifest.json").unlink()
        return folder, manifest

    return copy


def fingerprint_of(dsn):
    stopping.reset()  # a flow leaves a stop behind it
    database = Database(name="shop", dsn=dsn)
    return finish(collect(database, None, FingerprintPolicy(), "test"), database, "test")


def test_every_command_works_as_it_stands_and_brings_everything_back(copied, elsewhere, identity, tmp_path, shop):
    folder, _ = copied()
    source = fingerprint_of(shop)
    (tmp_path / "key.txt").write_text(f"# created: today\n# public key: {identity.to_public()}\n{identity}\n")
    text = (folder / "RESTORE.txt").read_text()
    said = enter(commands_of(text), folder, elsewhere, KEY=str(tmp_path / "key.txt"))
    assert "archive.dump.zst.age: OK" in said
    (error,) = [line for line in said.splitlines() if "ERROR" in line]
    assert error.endswith('ERROR:  role "postgres" already exists')
    found = [one for one in compare(source, fingerprint_of(elsewhere.dsn("shop"))) if one.verdict != "OK"]
    assert found == []
    assert not (folder / "archive.dump").exists()
    assert not (folder / "globals.sql").exists()


def test_a_backup_in_clear_restores_under_another_name_and_its_settings_are_shown(
    copied, elsewhere, identity, tmp_path, shop, system
):
    write_system(tmp_path / "systems", shop, system, str(identity.to_public()), backup={"recipients": []})
    folder, _ = copied()
    text = (folder / "RESTORE.txt").read_text()
    assert "age" not in text.replace("storage", "")
    before, after = commands_of(text)[:-3], commands_of(text, "      ")
    said = enter([*before, *after], folder, elsewhere)
    assert "ALTER DATABASE shop SET statement_timeout TO '5min';" in said
    assert "ALTER ROLE shop_reader IN DATABASE shop SET work_mem TO '8MB';" in said
    with psycopg.connect(elsewhere.dsn("restored")) as connection:
        assert connection.execute("SELECT count(*) FROM kinds").fetchone() == (2000,)
        assert connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (1,)


def test_a_changed_object_stops_the_first_command(copied, elsewhere):
    folder, _ = copied()
    archive = folder / "archive.dump.zst.age"
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(AssertionError, match=r"archive\.dump\.zst\.age: FAILED"):
        enter(commands_of((folder / "RESTORE.txt").read_text())[:1], folder, elsewhere)


def test_what_a_shell_and_a_server_would_take_for_more_is_quoted(copied):
    _, manifest = copied()
    odd = manifest.model_copy(update={"database_name": "my shop; rm *", "locale_provider": "i", "locale": "de'"})
    text = restore_by_hand(odd)
    assert "--dbname='my shop; rm *' " in text
    assert "ICU_LOCALE '\"'\"'de'\"'\"''\"'\"''\"'\"'" in text
