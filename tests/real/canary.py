"""Where a secret might be left: everything that a run writes or shows, and how a secret may stand in it."""

import io
import json
import os
import pickle
import sqlite3
import traceback
import uuid
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import pyarrow.parquet as pq
import pyrage
import zstandard
from prefect.logging.handlers import APILogWorker


def planted(words=""):
    """A secret that nothing else in the world holds, with characters that every format writes in its own way."""
    return f"planted {words}{uuid.uuid4().hex} 'ü\\/\""


@contextmanager
def process_list_watched():
    """The arguments of every process that was seen while the block ran."""
    seen, ended = set(), Event()

    def watch():
        while not ended.wait(0.1):
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(place.read_bytes())
                except OSError:
                    continue

    watching = Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()


def of_errors(errors):
    """What a person or program that gets hold of an error sees of it, what came before it included."""
    return {
        "a traceback": "".join(line for one in errors for line in traceback.format_exception(one)).encode(),
        "a pickled error": b"".join(
            pickle.dumps(one) + repr(pickle.loads(pickle.dumps(one))).encode() for one in errors
        ),
    }


def of_prefect():
    """Every row of the server's database: logs, artifacts, runs, states, parameters, deployments, events; its log."""
    APILogWorker.drain_all(timeout=120)
    home = Path(os.environ["PREFECT_HOME"])
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        rows = "\n".join(database.iterdump())
    return {"Prefect's database": rows.encode(), "the server's log": (home / "server.log").read_bytes()}


def of_the_repository(rclone, identity):
    """Every stored object as it is, and as it was before it was encrypted and compressed."""
    client, found = rclone.client(), {}
    for item in client.list_objects_v2(Bucket=rclone.bucket, Prefix="no-secret/")["Contents"]:
        data = client.get_object(Bucket=rclone.bucket, Key=item["Key"])["Body"].read()
        found[item["Key"]] = data
        if item["Key"].endswith(".parquet"):
            found[f"{item['Key']} as rows"] = repr(pq.read_table(io.BytesIO(data)).to_pylist()).encode()
        if item["Key"].endswith(".zst.age"):
            plain = pyrage.decrypt(data, [identity])
            found[f"{item['Key']} decoded"] = zstandard.ZstdDecompressor().decompressobj().decompress(plain)
    return found


def spellings(secret):
    """How a secret stands in text, JSON, a URL, Python, SQL, and a connection string."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        repr(secret)[1:-1],
        secret.replace("'", "''"),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
    }
