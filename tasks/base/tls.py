"""Certificates: those in a file's bytes, and those that a server shows in one TLS handshake."""

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from cryptography import x509
from pydantic import Field

from tasks.base.errors import RefusedError, UnreachableError
from tasks.base.security_check import Endpoint, StartTls
from tasks.base.words import Frozen

# SSLRequest of the PostgreSQL protocol: its length, and the code 1234.5679.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_MOST_REPLY_BYTES = 65536


class Shown(Frozen, arbitrary_types_allowed=True):
    """What a server shows."""

    chain: tuple[x509.Certificate, ...] = Field(min_length=1, description="Its own certificate first")
    protocol: str = Field(description="The newest that both speak, e.g. TLSv1.3")


def certificates_in(data: bytes) -> list[x509.Certificate]:
    """The certificates of a file, PEM or DER, its own first; none when it is no such file.

    Raises ValueError when it says that it holds one and that one cannot be read.
    """
    if b"CERTIFICATE-----" in data:
        return x509.load_pem_x509_certificates(data)
    try:
        return [x509.load_der_x509_certificate(data)]
    except ValueError:
        return []


def shown_by(server: Endpoint, context: ssl.SSLContext, deadline_seconds: float, elapsed: Callable[[], float]) -> Shown:
    """What a server shows before `elapsed` reaches the deadline; the context says what is verified.

    Raises UnreachableError when it does not answer in time, RefusedError when it shows no certificate that can be read.
    ssl.SSLCertVerificationError is passed on: what a refusal means is for the caller to tell.
    """

    def rest() -> float:
        return max(0.01, deadline_seconds - elapsed())

    try:
        with socket.create_connection((server.host, server.port), timeout=rest()) as plain:
            if server.starttls is not None:
                _STARTTLS[server.starttls](plain, server, rest)
            plain.settimeout(rest())  # the handshake as a whole takes no longer
            with context.wrap_socket(plain, server_hostname=server.name) as secured:
                return Shown(chain=_chain(secured), protocol=secured.version() or "")
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        raise UnreachableError(
            f"{server.address} showed no certificate within {deadline_seconds:g} s; see whether it hangs or a firewall "
            "drops the question"
        ) from None
    except ssl.SSLError as error:
        said = error.reason or str(error)
        raise RefusedError(f"{server.address} speaks no TLS that this host speaks ({said}); check its port") from None
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        raise UnreachableError(f"{server.address} does not answer ({said}); look whether it runs") from None


def _chain(secured: Any) -> tuple[x509.Certificate, ...]:
    """The chain as the server sent it; Python before 3.13 has it only behind the socket."""
    inner = secured if hasattr(secured, "get_unverified_chain") else secured._sslobj
    found: list[Any] = inner.get_unverified_chain()
    chain = [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]
    try:
        return tuple(x509.load_der_x509_certificate(one) for one in chain)
    except ValueError as error:
        raise RefusedError(f"the certificate cannot be read ({error}); openssl may tell more of it") from None


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
