"""Real parts, once per session: PostgreSQL 18 from the wheel, a Prefect server, a system file that names them."""

import fcntl
import os
import subprocess
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pyrage
import pytest
import yaml
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from deployments import own_prefect
from deployments.demo.planted import plant
from deployments.demo.servers import prefect_server
from deployments.demo.vulnerabilities import write_database
from tasks.base import stopping
from tasks.postgres.server import LocalServer
from tests.conftest import PREFECT_PORT
from tests.real import loud, stores
from tests.real.scanning import TOOLS, commit
from tests.real.servers import own_server
from tests.real.serving import serving

SAMPLE = Path(__file__).resolve().parents[2] / "deployments" / "demo" / "awkward.sql"
# What the sample holds: partitions count as tables, partitioned tables do not.
SAMPLE_TABLES, SAMPLE_ROWS = 13, 2000 + 100 + 400 + 10 + 1 + 2 + 1 + 2 + 1


def load_shop(server: LocalServer, sample: str) -> str:
    """Make the database shop anew on a server, with that sample in it; its dsn."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS shop_reader, shop_owner")
        connection.execute("CREATE DATABASE shop")
    with psycopg.connect(server.dsn("shop"), autocommit=True) as connection:
        connection.execute(sample.encode())
    return server.dsn("shop")


@pytest.fixture(scope="session")
def postgres():
    """A running PostgreSQL 18 on a free loopback port; its superuser is postgres."""
    with own_server({"max_connections": "60"}) as server:
        yield server


@contextmanager
def one_at_a_time():
    """Of the processes that run tests at a time only one is in this block."""
    cache = Path(os.environ["XDG_CACHE_HOME"])
    cache.mkdir(exist_ok=True)
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", autouse=True)
def prefect_url():
    """One Prefect server with all of its services for all tests of this process; its URL.

    To lay out its database takes as long as many tests: one process does it, and `nightshift run` begins with it too.
    """
    home = Path(os.environ["PREFECT_HOME"])
    with ExitStack() as running:
        with one_at_a_time():
            ready_made = own_prefect._copy_kept_database(home)
            if not ready_made:
                url = running.enter_context(prefect_server(os.environ, home / "server.log", PREFECT_PORT))
                own_prefect._keep_database(home)
        if ready_made:
            environment = os.environ | own_prefect._READY_MADE
            url = running.enter_context(prefect_server(environment, home / "server.log", PREFECT_PORT))
        assert f"{url}/api" == os.environ["PREFECT_API_URL"], "another process took the port of the tests' server"
        # Nobody listens for the heartbeats of a test's flow, and each flow waits up to a second for their thread.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield url
        APILogHandler().flush()


@pytest.fixture(scope="session")
def s3_credentials():
    """The variables that repository policies of tests refer to."""
    os.environ.update(stores.CREDENTIALS)
    yield
    for name in stores.CREDENTIALS:
        del os.environ[name]


@pytest.fixture(scope="session")
def rclone(s3_credentials, tmp_path_factory):
    """A real S3 server over a folder; it overwrites whatever the condition says, and knows no versions."""
    with stores.rclone_server(tmp_path_factory.mktemp("rclone") / "objects") as server:
        yield server


@pytest.fixture(scope="session")
def moto(s3_credentials, tmp_path_factory):
    """An S3 server with conditional puts, and a bucket with versions and object lock."""
    with stores.moto_server(tmp_path_factory.mktemp("moto") / "moto.log") as server:
        yield server


@pytest.fixture
def shop(postgres):
    """A fresh database with the awkward things in it; the dsn."""
    return load_shop(postgres, SAMPLE.read_text())


@pytest.fixture
def identity():
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def system(tmp_path, monkeypatch, shop, identity):
    """The system 'acme' with that database, encrypted into a local folder; the repository's folder."""
    folder = tmp_path / "systems"
    folder.mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(folder))
    monkeypatch.setenv("ACME_IDENTITY", str(identity))
    write_system(folder, shop, tmp_path / "repository", str(identity.to_public()))
    return tmp_path / "repository"


def write_system(folder: Path, dsn: str, place: Path, recipient: str, **changes) -> None:
    data = {
        "name": "acme",
        "databases": [{"name": "shop", "dsn": dsn}],
        "repository": {"url": f"file://{place}"},
        "backup": {"recipients": [recipient]},
        "verification": {"identity": "env:ACME_IDENTITY"},
        "restore_test": {"identity": "env:ACME_IDENTITY"},
        # The disk of who runs the tests may be as full as it likes.
        "thresholds": {"disk_free_share": 0},
    }
    (folder / "acme.yaml").write_text(yaml.safe_dump(data | changes))


def change_system(**sections: object) -> None:
    """Set keys in sections of the test's system file; a list takes the whole section's place."""
    path = Path(os.environ["NIGHTSHIFT_SYSTEMS"], "acme.yaml")
    system = yaml.safe_load(path.read_text())
    for section, values in sections.items():
        system[section] = values if isinstance(values, list) else system.get(section, {}) | values
    path.write_text(yaml.safe_dump(system))


@pytest.fixture
def guarded(postgres, shop):
    """The same database for the superuser 'guarded', whom the server asks for the password 'planted-guarded'."""
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guarded")
        connection.execute("CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'planted-guarded'")
        rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield psycopg.conninfo.make_conninfo(shop, user="guarded")
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE guarded")


@pytest.fixture
def hook(monkeypatch):
    """A webhook on loopback, env:ACME_HOOK, that answers a heartbeat too; the bodies that it was sent."""
    bodies = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Hook)
    monkeypatch.setenv("ACME_HOOK", f"http://127.0.0.1:{listening.server_port}/planted-hook-token")
    with serving(listening):
        yield bodies


@pytest.fixture(scope="session")
def loud_server():
    """A server that logs all that it can, and asks app, narrow and keeper for their passwords."""
    with loud.loud_postgres() as server:
        yield server


@pytest.fixture
def place(tmp_path):
    """Where the password of app is kept."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "password").write_text(loud.OLD)
    return tmp_path / "kept" / "password"


@pytest.fixture
def rotating(loud_server, tmp_path, place, monkeypatch):
    """The system acme with the role app, whose password is OLD; the function that changes its entry."""
    stopping.reset()
    (tmp_path / "systems").mkdir()
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path / "systems"))
    write_system(tmp_path / "systems", loud_server.dsn("shop"), tmp_path / "repository", "age1none")
    loud.set_password(loud_server, "app", loud.OLD)
    loud.until_gone(loud_server.dsn("shop"), "app")

    def entry(**changes):
        one = {"name": "app", "kind": "role", "max_age_days": 30, "role": "app"}
        one["place"] = {"kind": "file", "path": str(place)}
        change_system(credentials={"entries": [one | changes]})

    entry()
    return entry


@pytest.fixture
def scanners(monkeypatch):
    """Trivy and gitleaks first on PATH, and the key under which found secrets are told apart."""
    assert (TOOLS / "trivy").is_file(), "the scanners are not installed; run make setup"
    monkeypatch.setenv("PATH", f"{TOOLS}:{os.environ['PATH']}")
    monkeypatch.setenv("SCAN_KEY", "0123456789abcdef")


@pytest.fixture(scope="session")
def vulnerabilities(tmp_path_factory):
    """A small vulnerability database, made now."""
    folder = tmp_path_factory.mktemp("vulnerabilities")
    write_database(folder)
    return folder


@pytest.fixture
def planted(tmp_path):
    """A folder with planted secrets, vulnerable packages and a bad Dockerfile."""
    plant(tmp_path / "planted")
    return tmp_path / "planted"


@pytest.fixture
def work_tree(tmp_path, planted):
    """A git work tree whose last commit takes the planted secret out again."""
    subprocess.run(["git", "init", "-q", planted], check=True)
    commit(planted, "in")
    (planted / "settings.ini").unlink()
    commit(planted, "out")
    return planted
