"""Real S3 servers for tests: rclone (no conditions, no versions, no locks) and moto (all of them)."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from deployments.demo.servers import free_port, program, s3_server, serving, wait_for
from tasks.base.system import RepositoryPolicy
from tasks.repository.opening import open_store

KEY_ID, SECRET = "test-key-id", "test-secret-access-key"
# S3 takes no part under 5 MiB but the last; tests of what happens between parts need not send as much.
SMALLEST_PART = str(16 * 1024)
CREDENTIALS = {"TEST_S3_KEY_ID": KEY_ID, "TEST_S3_SECRET": SECRET}


@dataclass(frozen=True)
class S3Server:
    """A running server; `bucket` has what the server can do, in moto's case versions and object lock."""

    endpoint: str
    bucket: str
    folder: Path | None = None

    def policy(self, prefix: str = "", endpoint: str = "") -> dict[str, str]:
        """What a system file says of a repository in it, reached by another endpoint when one is given."""
        return {
            "url": f"s3://{self.bucket}/{prefix}",
            "endpoint": endpoint or self.endpoint,
            "access_key_id": "env:TEST_S3_KEY_ID",
            "secret_access_key": "env:TEST_S3_SECRET",
        }

    def store(self, prefix: str = "", endpoint: str = "") -> Any:
        """The store that Nightshift opens on it, below a prefix that nobody else uses."""
        return open_store(RepositoryPolicy(**self.policy(prefix or uuid.uuid4().hex, endpoint)))

    def client(self) -> Any:
        """A client of its own, for what Nightshift never does."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """rclone over `folder`, where the bucket is a folder and every object a file."""
    (folder / "bucket").mkdir(parents=True, exist_ok=True)
    with s3_server(folder, KEY_ID, SECRET, os.environ, folder.with_suffix(".log")) as endpoint:
        yield S3Server(endpoint, "bucket", folder / "bucket")


@contextmanager
def moto_server(log: Path) -> Iterator[S3Server]:
    """moto with two buckets: 'locking' has versions and object lock, 'plain' has neither."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    arguments = [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with serving(arguments, {**os.environ, "S3_UPLOAD_PART_MIN_SIZE": SMALLEST_PART}, log) as process:
        wait_for(endpoint, process, log)
        server = S3Server(endpoint, "locking")
        server.client().create_bucket(Bucket="locking", ObjectLockEnabledForBucket=True)
        server.client().create_bucket(Bucket="plain")
        yield server
