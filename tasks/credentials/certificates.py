"""Certificates: of a file, and as a server shows them."""

import socket
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tasks.base.credentials import ServedCertificate
from tasks.base.errors import CorruptError, RefusedError, UnreachableError
from tasks.base.security import place_of
from tasks.base.words import Frozen
from tasks.credentials.files import read

_DEADLINE_SECONDS = 10.0
_BEGIN = "-----BEGIN CERTIFICATE-----"


class Certificate(Frozen):
    """What of a certificate tells its age. Times are aware UTC."""

    begins_at: datetime
    ends_at: datetime
    fingerprint: str


def certificate_in(path: Path) -> Certificate | None:
    """The first certificate of a PEM file; None when there is none in it. Raises CorruptError, RefusedError."""
    text = read(path) or ""
    if _BEGIN not in text:
        return None
    try:
        return _certificate(x509.load_pem_x509_certificate(text[text.index(_BEGIN) :].encode(errors="replace")))
    except ValueError:
        raise CorruptError(f"the certificate in {path} cannot be read; openssl x509 -in {path} may tell more") from None


def shown_by(server: ServedCertificate, *, valid: bool) -> Certificate:
    """The certificate that a server shows; with `valid` only one that is valid for its host by a trusted authority.

    Raises RefusedError (not valid, no TLS), UnreachableError.
    """
    address = f"{server.host}:{server.port}"
    try:
        context = ssl.create_default_context(cafile=str(place_of(server.ca_file)) if server.ca_file else None)
        if not valid:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection((server.host, server.port), timeout=_DEADLINE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=server.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True) or b""
        return _certificate(x509.load_der_x509_certificate(shown))
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(
            f"the certificate of {address} is not valid: {error.verify_message}; look at its chain, names and ca_file"
        ) from None
    except (ssl.SSLError, ValueError) as error:
        raise RefusedError(f"{address} shows no certificate that can be read ({error}); check its port") from None
    except OSError as error:
        raise UnreachableError(
            f"{address} does not answer ({error.strerror or type(error).__name__}); look whether it runs"
        ) from None


def _certificate(found: x509.Certificate) -> Certificate:
    return Certificate(
        begins_at=found.not_valid_before_utc,
        ends_at=found.not_valid_after_utc,
        fingerprint=found.fingerprint(SHA256()).hex(),
    )
