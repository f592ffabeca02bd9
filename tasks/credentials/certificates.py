"""What of a certificate tells its age: of one in a file, and of one that a server shows."""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tasks.base import tls
from tasks.base.clock import stopwatch
from tasks.base.credentials import ServedCertificate
from tasks.base.errors import ConfigurationError, CorruptError, RefusedError
from tasks.base.security import place_of
from tasks.base.words import Frozen
from tasks.credentials.files import read

_DEADLINE_SECONDS = 10.0


class Certificate(Frozen):
    """What of a certificate tells its age. Times are aware UTC."""

    begins_at: datetime
    ends_at: datetime
    fingerprint: str


def certificate_in(path: Path) -> Certificate | None:
    """The first certificate of a file; None when there is none in it. Raises CorruptError, RefusedError."""
    data = (read(path) or "").encode(errors="surrogateescape")
    try:
        found = tls.certificates_in(data)
    except ValueError:
        raise CorruptError(f"the certificate in {path} cannot be read; openssl x509 -in {path} may tell more") from None
    return _certificate(found[0]) if found else None


def shown_by(server: ServedCertificate, *, valid: bool) -> Certificate:
    """The certificate that a server shows; with `valid` only one that is valid for its host by a trusted authority.

    Raises RefusedError (not valid, no TLS), UnreachableError, ConfigurationError for a ca_file that cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=str(place_of(server.ca_file)) if server.ca_file else None)
    except OSError as error:
        raise ConfigurationError(
            f"the authorities in {server.ca_file} cannot be read ({error}); correct ca_file"
        ) from None
    if not valid:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        return _certificate(tls.shown_by(server, context, _DEADLINE_SECONDS, stopwatch()).chain[0])
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(
            f"the certificate of {server.address} is not valid: {error.verify_message}; look at its chain, names and "
            "ca_file"
        ) from None


def _certificate(found: x509.Certificate) -> Certificate:
    return Certificate(
        begins_at=found.not_valid_before_utc,
        ends_at=found.not_valid_after_utc,
        fingerprint=found.fingerprint(SHA256()).hex(),
    )
