"""Certificates for demo and tests: an own authority, and what it signs."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.base.clock import utc_now


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    def write(self, place: Path, *issuers: "Made", with_key: bool = True) -> Path:
        """Write a PEM file as servers read it: the key, the certificate, those of its issuers."""
        pem = [one.certificate.public_bytes(serialization.Encoding.PEM) for one in (self, *issuers)]
        if with_key:
            private = serialization.PrivateFormat.PKCS8
            pem.insert(0, self.key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
        place.touch(mode=0o600)
        place.write_bytes(b"".join(pem))
        return place


def make(
    name: str,
    issuer: Made | None = None,
    *,
    first_day: float = -1,
    last_day: float = 90,
    authority: bool = False,
    issuer_url: str = "",
    key: Any = None,
) -> Made:
    """A certificate for a host name or address, signed by the issuer, or by itself when there is none.

    Its first and last day are counted from today; `issuer_url` is where it says that its issuer's certificate is.
    """
    key, now = key or ec.generate_private_key(ec.SECP256R1()), utc_now()
    signer = issuer or Made(None, key)  # type: ignore[arg-type]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=first_day))
        .not_valid_after(now + timedelta(days=last_day))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
    if issuer_url:
        where = x509.AccessDescription(
            x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
    return Made(builder.sign(signer.key, hashes.SHA256()), key)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
