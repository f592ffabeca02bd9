"""Certificates as real servers show them: whatever is wrong is named, and nothing that was not seen is called good."""

import socket
import ssl
from pathlib import Path
from threading import Event

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from deployments.demo.certificates import make
from tasks.base.clock import stopwatch
from tasks.base.findings import ScanState, Severity
from tasks.base.security_check import CertificatePolicy, Endpoint
from tasks.base.words import Verdict
from tasks.network.certificate_checks import certificate_checks
from tasks.network.certificates import fault_of_names
from tests.unit.tls import serving, tls

ROOT = make("Acme Root", authority=True)
BETWEEN = make("Acme Between", ROOT, authority=True)
NAME = "localhost"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    return str(ROOT.write(tmp_path_factory.mktemp("ca") / "root.pem", with_key=False))


def looked(trusted, talk, **asked):
    """What the check of a server says; its policy trusts the test's own authority only beside the host's."""
    limit = asked.pop("deadline_seconds", 60)
    with serving(talk) as port:
        endpoint = Endpoint(host="127.0.0.1", port=port, **{"server_name": NAME, **asked})
        policy = CertificatePolicy(endpoints=(endpoint,), authorities=(trusted,), deadline_seconds=limit)
        ((_, look),) = certificate_checks(policy)
        return look()


def rules(scan):
    return {finding.rule: finding.severity for finding in scan.findings}


def test_a_good_certificate_is_verified_with_its_chain_and_its_name(trusted, tmp_path):
    scan = looked(trusted, tls(make(NAME, BETWEEN).write(tmp_path / "good.pem", BETWEEN)))
    (line,) = scan.checks
    assert (scan.state, line.verdict) == (ScanState.CLEAN, Verdict.OK), line.message
    assert "issued by Acme Between; chain, names, key and signature are good" in line.message
    assert 89 < line.value < 91
    (table,) = scan.attachments
    (row,) = table.rows
    assert (row["subject"], row["names"], row["key"], row["faults"]) == (NAME, NAME, "elliptic curve of 256 bits", "")


# What is served, and the faults that must be named: all of them, not only the first.
WRONG = {
    "expired": (make(NAME, ROOT, first_day=-20, last_day=-3), (), {"certificate-expiry": Severity.CRITICAL}),
    "within a week": (make(NAME, ROOT, last_day=3), (), {"certificate-expiry": Severity.HIGH}),
    "within a month": (make(NAME, ROOT, last_day=20), (), {"certificate-expiry": Severity.MEDIUM}),
    "too early": (make(NAME, ROOT, first_day=2), (), {"certificate-not-yet-valid": Severity.HIGH}),
    "self-signed": (make(NAME), (), {"certificate-self-signed": Severity.HIGH}),
    "another name": (make("other.example", ROOT), (), {"certificate-wrong-name": Severity.HIGH}),
    "no chain": (
        make(NAME, BETWEEN, issuer_url="http://acme.example/between.cer"),
        (),
        {"certificate-incomplete-chain": Severity.MEDIUM},
    ),
    "unknown issuer": (make(NAME, make("Nobody", authority=True)), (), {"certificate-unknown-issuer": Severity.HIGH}),
    "unknown root": (
        make(NAME, stranger := make("Stranger", authority=True)),
        (stranger,),
        {"certificate-unknown-issuer": Severity.HIGH},
    ),
    "weak key": (
        make(NAME, ROOT, key=rsa.generate_private_key(65537, 1024)),
        (),
        {"certificate-weak-key": Severity.MEDIUM},
    ),
    "expired, self-signed, another name": (
        make("old.example", first_day=-20, last_day=-3),
        (),
        {
            "certificate-expiry": Severity.CRITICAL,
            "certificate-self-signed": Severity.HIGH,
            "certificate-wrong-name": Severity.HIGH,
        },
    ),
    "an issuer that expired": (
        make(NAME, dead := make("Dead Between", ROOT, authority=True, first_day=-20, last_day=-3)),
        (dead,),
        {"certificate-expiry": Severity.CRITICAL},
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_fault_of_a_certificate_is_named(case, trusted, tmp_path):
    served, issuers, wanted = WRONG[case]
    scan = looked(trusted, tls(served.write(tmp_path / "served.pem", *issuers)))
    (line,) = scan.checks
    assert rules(scan) == wanted, line.message
    red = min(severity.rank for severity in wanted.values()) <= Severity.HIGH.rank
    assert line.verdict is (Verdict.FAIL if red else Verdict.WARN)
    assert (
        f"openssl s_client -connect 127.0.0.1:{line.target.split(':')[1].split()[0]} -servername" in line.next_command
    )


# Nothing that is kept up signs with SHA-1 any more: `openssl x509 -req -sha1 -days 36000` did, with a key thrown away.
SHA1 = """-----BEGIN CERTIFICATE-----
MIIBIzCBywIUM2ClIjsPFQoJQvQRaDSCyZ8rquMwCQYHKoZIzj0EATATMREwDwYD
VQQDDAhPbGQgUm9vdDAgFw0yNjExMjExNDQxMTBaGA8yMTI1MDYxNTE0NDExMFow
FjEUMBIGA1UEAwwLb2xkLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAShG2wB2E9mToQpO5cRE1bLor8tax0i8RjO8Pxl/Aat7MW5oyUXmGREGHSfWnA3
dmqh3uT3/Mr09Z/UVUpNO1yiMAkGByqGSM49BAEDSAAwRQIgAjMqS0w0vp+entcE
EO3lGqGDsP0L2bsdbNeInd/bI5YCIQDzn4ZqzCM2tmam+e1qOxHTl+xbH2GtpORp
ANU21pf/cA==
-----END CERTIFICATE-----
"""


def test_a_signature_by_sha1_is_weak(tmp_path):
    (tmp_path / "old.pem").write_text(SHA1)
    ((_, look),) = certificate_checks(CertificatePolicy(files=(f"{tmp_path}/old.pem",)))
    assert rules(look())["certificate-weak-signature"] is Severity.MEDIUM


def test_a_server_that_speaks_only_old_tls_is_seen_and_told(trusted, tmp_path):
    scan = looked(trusted, tls(make(NAME, ROOT).write(tmp_path / "old.pem"), newest=ssl.TLSVersion.TLSv1_1))
    assert rules(scan) == {"weak-protocol": Severity.MEDIUM}, scan.checks


def test_a_server_that_hangs_in_the_handshake_is_left_within_the_deadline(trusted):
    held = Event()
    elapsed = stopwatch()
    scan = looked(trusted, lambda _: held.wait(200), deadline_seconds=0.5)
    held.set()
    assert elapsed() < 100, "it waited for the server and not for its deadline"
    assert_unknown(scan, "showed no certificate within 0.5 s")


def test_what_shows_no_certificate_is_never_good(trusted):
    assert_unknown(looked(trusted, lambda connection: connection.sendall(b"HTTP/1.1 400\r\n\r\n")), "speaks no TLS")
    assert_unknown(looked(trusted, lambda connection: connection.close()), "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = Endpoint(host="127.0.0.1", port=free.getsockname()[1])
        ((_, look),) = certificate_checks(CertificatePolicy(endpoints=(endpoint,)))
        assert_unknown(look(), "does not answer (Connection refused)")


def assert_unknown(scan, sentence):
    (line,) = scan.checks
    assert sentence in line.message
    assert (line.verdict, scan.state, scan.findings) == (Verdict.FAIL, ScanState.INCOMPLETE, ())


def test_files_are_read_by_pattern_and_an_unreadable_one_is_told(tmp_path):
    make("a.example", ROOT, last_day=5).write(tmp_path / "a.pem", with_key=False)
    make("b.example", ROOT).write(tmp_path / "b.pem")
    (tmp_path / "c.pem").write_text("no certificate")
    ((scope, look),) = certificate_checks(CertificatePolicy(files=(f"{tmp_path}/*.pem",)))
    scan = look()
    assert scope == scan.scope == f"certificate {tmp_path}/*.pem"
    assert (scan.state, rules(scan)) == (ScanState.INCOMPLETE, {"certificate-expiry": Severity.HIGH})
    verdicts = {Path(line.target).name: line.verdict for line in scan.checks}
    assert verdicts == {"a.pem": Verdict.FAIL, "b.pem": Verdict.OK, "*.pem": Verdict.INCOMPLETE}
    assert "c.pem cannot be read (it holds no certificate)" in scan.reason
    ((_, look),) = certificate_checks(CertificatePolicy(files=(f"{tmp_path}/none/*.pem",)))
    assert look().state is ScanState.INCOMPLETE


def test_a_mail_server_is_asked_for_tls_as_it_wants_to_be(trusted, tmp_path):
    secure = tls(make(NAME, ROOT).write(tmp_path / "mail.pem"))

    def talk(connection, offers=b"250-acme\r\n250 STARTTLS\r\n", agrees=b"220 go on\r\n"):
        connection.sendall(b"220-acme\r\n220 ESMTP\r\n")
        connection.recv(100)
        connection.sendall(offers)
        assert connection.recv(100) == b"STARTTLS\r\n"
        connection.sendall(agrees)
        secure(connection)

    assert looked(trusted, talk, starttls="smtp").checks[0].verdict is Verdict.OK
    scan = looked(trusted, lambda one: talk(one, b"250 acme\r\n", b"502 unknown\r\n"), starttls="smtp")
    assert_unknown(scan, "no STARTTLS")


def test_a_postgresql_is_asked_for_tls_by_its_own_protocol(trusted, tmp_path):
    secure = tls(make(NAME, ROOT).write(tmp_path / "postgres.pem"))

    def talk(connection):
        assert connection.recv(8)[4:] == (80877103).to_bytes(4)
        connection.sendall(b"S")
        secure(connection)

    assert looked(trusted, talk, starttls="postgres").checks[0].verdict is Verdict.OK


def test_an_authority_that_expired_is_not_called_good(tmp_path):
    old = make("Old Root", authority=True, first_day=-20, last_day=-3)
    place = str(old.write(tmp_path / "old.pem", with_key=False))
    scan = looked(place, tls(make(NAME, old).write(tmp_path / "served.pem")))
    assert rules(scan) == {"certificate-refused": Severity.HIGH}, scan.checks


def test_a_postgresql_without_tls_is_told_as_such(trusted):
    def talk(connection):
        assert connection.recv(8)[4:] == (80877103).to_bytes(4)
        connection.sendall(b"N")

    assert_unknown(looked(trusted, talk, starttls="postgres"), "offers no TLS; set ssl = on")


@pytest.mark.parametrize(
    ("names", "asked", "fits"),
    [
        ("*.shop.example", "www.shop.example", True),
        ("*.shop.example", "WWW.shop.example.", True),
        ("*.shop.example", "shop.example", False),
        ("*.shop.example", "a.www.shop.example", False),
        ("w*.shop.example", "www.shop.example", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("*.0.0.7", "10.0.0.7", False),
        ("2001:db8::1", "2001:DB8:0::1", True),
    ],
)
def test_a_name_fits_as_clients_hold_it(names, asked, fits):
    assert (fault_of_names(make(names).certificate, asked) is None) is fits


def test_a_common_name_is_no_name():
    fault = fault_of_names(ROOT.certificate, "Acme Root")
    assert "no name at all (it has no subjectAltName)" in fault.sentence
