"""The certificate of a real PostgreSQL: Debian's 15, as the server of the wheel speaks no TLS."""

import os
import shutil

import pytest

from deployments.demo.certificates import make
from deployments.demo.servers import free_port
from tasks.base.security_check import CertificatePolicy, Endpoint
from tasks.base.words import Verdict
from tasks.network.certificate_checks import certificate_checks
from tasks.postgres.server import NOBODY, LocalServer, server_folder
from tests.soak.test_versions import installation

ROOT = make("Acme Root", authority=True)


@pytest.fixture
def served(tmp_path):
    """A function that starts the server with a certificate, or without; its port."""
    folder = server_folder(None)
    server = LocalServer(installation(15, tmp_path), folder, free_port(), "postgres")
    server.create("UTF8", "C.UTF-8", {"fsync": "off"})

    def start(made):
        file = made.write(folder / "served.pem")
        if os.geteuid() == 0:
            os.chown(file, NOBODY, NOBODY)
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write(f"ssl = on\nssl_cert_file = '{file}'\nssl_key_file = '{file}'\n")
        server.stop()
        server.start()
        return server.port

    yield start, server
    server.stop()
    shutil.rmtree(folder)


def test_the_certificate_of_a_postgresql_is_seen_through_its_own_protocol(served, tmp_path):
    start, server = served
    authorities = (str(ROOT.write(tmp_path / "root.pem", with_key=False)),)

    def line(port):
        endpoint = Endpoint(host="127.0.0.1", port=port, server_name="localhost", starttls="postgres")
        ((_, look),) = certificate_checks(CertificatePolicy(endpoints=(endpoint,), authorities=authorities))
        (found,) = look().checks
        return found

    server.start()
    assert "offers no TLS; set ssl = on" in line(server.port).message
    good = line(start(make("localhost", ROOT)))
    assert (good.verdict, "chain, names, key and signature are good" in good.message) == (Verdict.OK, True)
    soon = line(start(make("localhost", ROOT, last_day=3)))
    assert soon.verdict is Verdict.FAIL
    assert "in 3.0 days" in soon.message
