"""The certificates that a server shows, and why a client would refuse them.

The first connection verifies chain and time as any client would. When it is refused, a second one takes whatever comes:
OpenSSL tells the first fault only, of chains before dates, and the others are read from the certificates themselves.
"""

import ssl
from pathlib import Path

from tasks.base import tls
from tasks.base.clock import stopwatch
from tasks.base.errors import IncompleteError, RefusedError
from tasks.base.security import place_of
from tasks.base.security_check import CertificatePolicy, Endpoint
from tasks.base.tls import Shown


def look_at(endpoint: Endpoint, policy: CertificatePolicy) -> tuple[Shown, int | None]:
    """What a server shows, and X509_V_ERR_… when the first connection was refused; both within one deadline.

    Raises UnreachableError when it does not answer in time, RefusedError when it speaks no TLS, IncompleteError when
    this host knows no authority to verify with.
    """
    elapsed, refusal = stopwatch(), None
    for context in (_context(policy), _blind()):
        try:
            return tls.shown_by(endpoint, context, policy.deadline_seconds, elapsed), refusal
        except ssl.SSLCertVerificationError as refused:
            refusal = refused.verify_code
    raise RefusedError(f"{endpoint.address} shows no certificate; check its port")


def _context(policy: CertificatePolicy) -> ssl.SSLContext:
    """Verifies chain and time; of names and of weak keys the certificate itself tells more than a refusal would."""
    context = _any_protocol()
    context.check_hostname = False
    context.load_default_certs()
    for place in policy.authorities:
        try:
            context.load_verify_locations(cafile=place_of(place))
        except (OSError, ssl.SSLError) as error:
            raise IncompleteError(f"the authorities in {place} cannot be read ({error}); correct the file") from None
    if not policy.authorities and not _host_has_authorities(context):
        raise IncompleteError(
            "this host trusts no authority at all, so no certificate can be verified; sudo apt-get install "
            "ca-certificates, or name some in security_check.certificates.authorities"
        )
    return context


def _blind() -> ssl.SSLContext:
    context = _any_protocol()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _any_protocol() -> ssl.SSLContext:
    """Speaks what old servers speak too: a weak one is told as such, not as one that cannot be reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _host_has_authorities(context: ssl.SSLContext) -> bool:
    """A folder of them is read only when it is needed, so it is not counted."""
    folder = ssl.get_default_verify_paths().capath
    return context.cert_store_stats()["x509_ca"] > 0 or bool(folder and any(Path(folder).iterdir()))
