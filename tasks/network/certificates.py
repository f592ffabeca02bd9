"""What is wrong with a certificate: its dates, its names, its key, and who answers for it."""

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tasks.base.clock import iso
from tasks.base.findings import Severity
from tasks.base.security_check import CertificatePolicy
from tasks.base.words import Frozen

_DAY = timedelta(days=1)
# NIST SP 800-57 part 1: below these a key gives less than 112 bits of security.
_RSA_BITS, _CURVE_BITS = 2048, 224
_WEAK_HASHES = {"md5", "sha1"}
# OpenSSL's x509_vfy.h, X509_V_ERR_…
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_LOCAL_ISSUER, _UNABLE_TO_VERIFY = 18, 19, 20, 21
# What it means, by rule.
RULES: dict[str, str] = {
    "certificate-expiry": "clients refuse it, or soon will",
    "certificate-not-yet-valid": "clients refuse it until its first day",
    "certificate-self-signed": "nobody but itself answers for it, so anybody could show such a one",
    "certificate-unknown-issuer": "its authority is not among those that this host trusts",
    "certificate-incomplete-chain": "the server does not send the certificate of the authority in between",
    "certificate-refused": "it cannot be verified",
    "certificate-wrong-name": "it is not for the name that clients ask for",
    "certificate-weak-key": "its key is too short to be relied upon (NIST SP 800-57)",
    "certificate-weak-signature": "its signature can be forged (MD5, SHA-1)",
    "weak-protocol": "the newest protocol that the server speaks is older than TLS 1.2",
}


class Fault(Frozen):
    """One thing that is wrong with a certificate."""

    rule: str
    severity: Severity
    sentence: str


def days_left(certificate: x509.Certificate, now: datetime) -> float:
    """Days until its end; negative when it has passed."""
    return (certificate.not_valid_after_utc - now) / _DAY


def faults_of_dates(certificate: x509.Certificate, policy: CertificatePolicy, now: datetime) -> Iterator[Fault]:
    """What is wrong with its first and its last day."""
    left, end = days_left(certificate, now), iso(certificate.not_valid_after_utc)
    if certificate.not_valid_before_utc > now:
        begin = iso(certificate.not_valid_before_utc)
        yield Fault(rule="certificate-not-yet-valid", severity=Severity.HIGH, sentence=f"is not valid before {begin}")
    if left <= 0:
        sentence = f"expired on {end}, {-left:.1f} days ago"
        yield Fault(rule="certificate-expiry", severity=Severity.CRITICAL, sentence=sentence)
    elif left < policy.warning_days:
        severity = Severity.HIGH if left < policy.critical_days else Severity.MEDIUM
        yield Fault(rule="certificate-expiry", severity=severity, sentence=f"expires on {end}, in {left:.1f} days")


def faults_of_strength(certificate: x509.Certificate) -> Iterator[Fault]:
    """A key or a signature that is too weak; the signature of a root is relied upon by nobody."""
    key, weak = key_of(certificate)
    if weak:
        yield Fault(rule="certificate-weak-key", severity=Severity.MEDIUM, sentence=f"has a weak key ({key})")
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return
    if algorithm is not None and algorithm.name in _WEAK_HASHES and not is_self_issued(certificate):
        sentence = f"has a weak signature ({algorithm.name.upper()})"
        yield Fault(rule="certificate-weak-signature", severity=Severity.MEDIUM, sentence=sentence)


def fault_of_names(certificate: x509.Certificate, name: str) -> Fault | None:
    """A fault when it is not for that host name or address. Source: RFC 9525, which knows no common names."""
    names = names_of(certificate)
    try:
        wanted = str(ipaddress.ip_address(name))
    except ValueError:
        wanted = name
    if any(_matches(one, wanted) for one in names):
        return None
    sentence = f"is not for {name} but for {', '.join(names[:5]) or 'no name at all (it has no subjectAltName)'}"
    return Fault(rule="certificate-wrong-name", severity=Severity.HIGH, sentence=sentence)


def fault_of_refusal(chain: Sequence[x509.Certificate], code: int | None) -> Fault | None:
    """Why OpenSSL does not verify a chain; None when it does, or for its dates, which they tell themselves."""
    top = chain[-1]
    issuer = common_name(top.issuer)
    if code in (None, _NOT_YET_VALID, _EXPIRED):
        return None
    if code == _SELF_SIGNED:
        return Fault(rule="certificate-self-signed", severity=Severity.HIGH, sentence="is signed by itself")
    if code == _SELF_SIGNED_IN_CHAIN:
        sentence = f"comes from an authority that this host does not trust ({issuer})"
        return Fault(rule="certificate-unknown-issuer", severity=Severity.HIGH, sentence=sentence)
    if code in (_NO_LOCAL_ISSUER, _UNABLE_TO_VERIFY):
        return _without_issuer(top, issuer)
    return Fault(rule="certificate-refused", severity=Severity.HIGH, sentence=f"is refused by OpenSSL (error {code})")


def names_of(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def common_name(name: x509.Name) -> str:
    """What people call a subject or an issuer."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string() or "without a name"


def is_self_issued(certificate: x509.Certificate) -> bool:
    """True for a root, and for a certificate that somebody made for himself."""
    return certificate.issuer == certificate.subject


def _without_issuer(top: x509.Certificate, issuer: str) -> Fault:
    """The issuer is neither sent nor known. Public authorities say where it can be fetched: then it is one between."""
    try:
        access = top.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        between = any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in access)
    except (x509.ExtensionNotFound, ValueError):
        between = False
    if between:
        sentence = f"comes without the certificate of its issuer ({issuer}): the chain is incomplete"
        return Fault(rule="certificate-incomplete-chain", severity=Severity.MEDIUM, sentence=sentence)
    sentence = f"comes from {issuer}, which the server does not send and this host does not trust"
    return Fault(rule="certificate-unknown-issuer", severity=Severity.HIGH, sentence=sentence)


def key_of(certificate: x509.Certificate) -> tuple[str, bool]:
    """What kind of key it has, in words, and whether that is too weak."""
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "of a kind that is not known", False
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        return (
            f"{'RSA' if isinstance(key, rsa.RSAPublicKey) else 'DSA'} of {key.key_size} bits",
            key.key_size < _RSA_BITS,
        )
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"elliptic curve of {key.key_size} bits", key.key_size < _CURVE_BITS
    return type(key).__name__.removesuffix("PublicKey"), False


def _matches(pattern: str, name: str) -> bool:
    """A wildcard stands for exactly the leftmost label, and never in an address."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        first, _, others = name.partition(".")
        return bool(first) and others == pattern[2:] and not name.replace(".", "").isdigit()
    return pattern == name
