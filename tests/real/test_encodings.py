"""Databases of other encodings than UTF-8: backed up, verified, restored and proven, names included."""

import psycopg
import pytest

from flows.backup_verification import backup_verification
from flows.database_backup import database_backup
from flows.restore_test import restore_test
from tasks.base.words import Verdict


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_proven(encoding, postgres, system):
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as session:
        session.execute("DROP DATABASE shop WITH (FORCE)")
        session.execute(f"CREATE DATABASE shop ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    with psycopg.connect(postgres.dsn("shop"), autocommit=True, client_encoding="UTF8") as session:
        session.execute('CREATE TABLE "größe" ("länge" text)')
        session.execute("INSERT INTO \"größe\" VALUES ('Käse'), ('brød')")
    assert database_backup("acme").backups[0].rows == 2
    assert backup_verification("acme").verdict is Verdict.OK
    result = restore_test("acme")
    assert result.receipts[0].proven == "proven", result.headline
