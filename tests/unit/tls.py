"""Servers of tests that speak TLS, or do not, on loopback."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread

# What a server does with a connection that it accepted.
Talk = Callable[[socket.socket], None]


def tls(file: Path, *, newest: ssl.TLSVersion | None = None) -> Talk:
    """Shows the certificate of a PEM file with its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(file)
    if newest is not None:
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return talk


@contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """A server on a free port of 127.0.0.1, one thread a connection; the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def one(connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            connection.settimeout(20)
            talk(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                opened.append(connection)
                Thread(target=one, args=(connection,), daemon=True).start()

    accepting = Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listening.getsockname()[1]
    finally:
        # Closed while somebody waits on it, its number would be the next socket's, whose connections would come here.
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listening.close()
        for connection in opened:
            connection.close()
