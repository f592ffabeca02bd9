"""The certificates that a server shows, and why a client would refuse them.

The first connection verifies chain and time as any client would. When it is refused, a second one takes whatever comes:
OpenSSL tells the first fault only, of chains before dates, and the others are read from the certificates themselves.
"""

import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from pydantic import Field

from tasks.base.clock import stopwatch
from tasks.base.errors import IncompleteError, RefusedError, UnreachableError
from tasks.base.security import place_of
from tasks.base.security_check import CertificatePolicy, Endpoint, StartTls
from tasks.base.words import Frozen

# SSLRequest of the PostgreSQL protocol: its length, and the code 1234.5679.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_MOST_REPLY_BYTES = 65536


class Shown(Frozen, arbitrary_types_allowed=True):
    """What a server shows."""

    chain: tuple[x509.Certificate, ...] = Field(min_length=1, description="Its own certificate first")
    protocol: str = Field(description="The newest that both speak, e.g. TLSv1.3")
    refusal: int | None = Field(default=None, description="X509_V_ERR_… when the first connection was refused")


def look_at(endpoint: Endpoint, policy: CertificatePolicy) -> Shown:
    """The certificates that a server shows, within one deadline.

    Raises UnreachableError when it does not answer in time, RefusedError when it speaks no TLS, IncompleteError when
    this host knows no authority to verify with.
    """
    elapsed = stopwatch()

    def rest() -> float:
        return max(0.01, policy.deadline_seconds - elapsed())

    refusal = None
    for context in (_context(policy), _blind()):
        try:
            chain, protocol = _handshake(endpoint, context, rest)
        except ssl.SSLCertVerificationError as refused:
            refusal = refused.verify_code
            continue
        except TimeoutError:
            raise UnreachableError(
                f"{endpoint.address} showed no certificate within {policy.deadline_seconds:g} s; see whether it "
                "hangs or a firewall drops the question, or raise security_check.certificates.deadline_seconds"
            ) from None
        except ssl.SSLError as error:
            said = error.reason or str(error)
            raise RefusedError(
                f"{endpoint.address} speaks no TLS that this host speaks ({said}); check its port"
            ) from None
        except OSError as error:
            said = error.strerror or str(error)
            raise UnreachableError(f"{endpoint.address} does not answer ({said}); look whether it runs") from None
        return Shown(chain=chain, protocol=protocol, refusal=refusal)
    raise RefusedError(f"{endpoint.address} shows no certificate; check its port")


def _handshake(
    endpoint: Endpoint, context: ssl.SSLContext, rest: Callable[[], float]
) -> tuple[tuple[x509.Certificate, ...], str]:
    with socket.create_connection((endpoint.host, endpoint.port), timeout=rest()) as plain:
        if endpoint.starttls is not None:
            _STARTTLS[endpoint.starttls](plain, endpoint, rest)
        plain.settimeout(rest())  # the handshake as a whole takes no longer
        with context.wrap_socket(plain, server_hostname=endpoint.name) as secured:
            return _chain(secured), secured.version() or ""


def _chain(secured: Any) -> tuple[x509.Certificate, ...]:
    """The chain as the server sent it; Python before 3.13 has it only behind the socket."""
    inner = secured if hasattr(secured, "get_unverified_chain") else secured._sslobj
    found: list[Any] = inner.get_unverified_chain()
    chain = [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]
    try:
        return tuple(x509.load_der_x509_certificate(one) for one in chain)
    except ValueError as error:
        raise RefusedError(f"the certificate cannot be read ({error}); openssl may tell more of it") from None


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


def _ask_postgres(plain: socket.socket, endpoint: Endpoint, rest: Callable[[], float]) -> None:
    plain.settimeout(rest())
    plain.sendall(_SSL_REQUEST)
    answer = plain.recv(1)
    if answer == b"N":
        raise RefusedError(f"PostgreSQL at {endpoint.address} offers no TLS; set ssl = on with a certificate")
    if answer != b"S":
        raise RefusedError(f"{endpoint.address} gives no answer of a PostgreSQL; check its port")


def _ask_smtp(plain: socket.socket, endpoint: Endpoint, rest: Callable[[], float]) -> None:
    """Source: RFC 3207, and RFC 5321 for the replies."""
    for said, wanted in ((b"", b"220"), (b"EHLO nightshift.invalid\r\n", b"250"), (b"STARTTLS\r\n", b"220")):
        plain.settimeout(rest())
        plain.sendall(said)
        reply = b""
        # The last line of a reply has a space behind its code, and nothing comes after it unasked.
        while not reply.endswith(b"\n") or reply.splitlines()[-1][3:4] == b"-":
            plain.settimeout(rest())
            piece = plain.recv(4096)
            reply += piece
            if not piece or len(reply) > _MOST_REPLY_BYTES:
                break
        if not reply.startswith(wanted):
            what = "no STARTTLS" if said.startswith(b"STARTTLS") else "no answer of a mail server"
            raise RefusedError(f"{endpoint.address} gives {what}; check its port and starttls")


_STARTTLS = {StartTls.POSTGRES: _ask_postgres, StartTls.SMTP: _ask_smtp}
