"""A stored backup of the awkward sample, and the system whose database is restored beside what is there."""

import shutil

import psycopg
import pyrage
import pytest
from psycopg import sql

from flows.database_backup import database_backup
from tasks.base import stopping
from tests.real.conftest import SAMPLE, load_shop, write_system
from tests.real.restore.beside import databases, pg_restore_that


@pytest.fixture(scope="module")
def stored(postgres, tmp_path_factory):
    """One encrypted backup of the awkward sample for all tests: its repository, id, and what opens it."""
    stopping.reset()
    folder, identity = tmp_path_factory.mktemp("stored"), pyrage.x25519.Identity.generate()
    dsn = load_shop(postgres, SAMPLE.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
        write_system(folder, dsn, folder / "repository", str(identity.to_public()))
        (made,) = database_backup("acme").backups
    return folder / "repository", made, identity, dsn


@pytest.fixture
def acme(stored, postgres, tmp_path, monkeypatch):
    """The system acme with a copy of that repository; whatever the test made at the server is gone afterwards."""
    repository, _, identity, dsn = stored
    systems = tmp_path / "systems"
    systems.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(systems))
    monkeypatch.setenv("ACME_IDENTITY", str(identity))
    shutil.copytree(repository, tmp_path / "repository")
    write_system(systems, dsn, tmp_path / "repository", str(identity.to_public()))
    yield tmp_path / "repository"
    stopping.reset()
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        for name in databases(postgres) - {"shop", "postgres", "template0", "template1"}:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def held(acme, tmp_path):
    """A pg_restore that hangs, as one at a slow disk does."""
    pg_restore_that("sleep 600", tmp_path / "held")
