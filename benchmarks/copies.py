"""Backups against the bare tools: the proof of one and its bare restore, and the retention plan of many."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from benchmarks.measure import Cost, engine
from benchmarks.prepared import Bench
from deployments.demo.servers import s3_server
from tasks.base.clock import stamp


def restore_test(prepared: Bench) -> Cost:
    """The newest backup, proven."""
    newest = max((prepared.folder / "repository" / "bench" / "shop" / "logical").iterdir())
    return engine(
        {
            "work": "restore_test",
            "repository": prepared.repository,
            "backup": f"bench/shop/logical/{newest.name}",
            "identity": f"file:{prepared.folder / 'identity'}",
        }
    )


def bare_restore(prepared: Bench) -> Cost:
    """pg_restore -j2 of the same archive, uncompressed on disk, into a server with default settings.

    It comes through a pipe as the stored one did, so it says nowhere where in it the data of a table begin.
    """
    if not (prepared.folder / "bare.raw").exists():
        prepared.backup("content")
        prepared.bare(f"pg_dump -Fc -Z0 -d '{prepared.source.dsn('shop')}' | cat > bare.raw")
    with psycopg.connect(prepared.target.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop")
        connection.execute("CREATE DATABASE shop")
    return prepared.bare(f"pg_restore -j2 -d '{prepared.target.dsn('shop')}' bare.raw")


def plan_retention() -> Cost:
    """The plan for 2,000 manifests on a real S3 server."""
    key_id, secret = "embedded-s3-key-id", "embedded-s3-secret-key"
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2000):
            taken = datetime(2025, 11, 1, tzinfo=UTC) + timedelta(hours=4 * number)
            backup = Path(folder, "bucket", "bench", "shop", "logical", f"{stamp(taken)}-{number:08x}")
            backup.mkdir(parents=True)
            for name in ("archive.dump.zst", "fingerprint.json.zst", "globals.sql.zst", "toc.txt.zst", "manifest.json"):
                (backup / name).write_bytes(b"x")
        log = Path(folder, "s3.log")
        with s3_server(Path(folder), key_id, secret, os.environ, log) as endpoint:
            os.environ |= {"BENCH_S3_KEY_ID": key_id, "BENCH_S3_SECRET": secret}
            policy = {
                "url": "s3://bucket", "endpoint": endpoint,
                "access_key_id": "env:BENCH_S3_KEY_ID", "secret_access_key": "env:BENCH_S3_SECRET",
            }  # fmt: skip
            return engine({"work": "plan_retention", "policy": policy})
