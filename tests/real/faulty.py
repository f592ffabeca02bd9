"""A loopback HTTP proxy in front of a real S3 server that fails as networks, stores and their keepers do."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.real.serving import serving


@dataclass
class Exchange:
    """One request, and what becomes of it: a fault changes `status`, `headers` and `data`, or drops it."""

    method: str
    path: str
    number: int
    upstream: Callable[["Exchange"], None]
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    dropped: bool = False
    cut: int | None = None

    @property
    def is_part(self) -> bool:
        """True for the upload of one part."""
        return self.method == "PUT" and "partNumber=" in self.path

    def forward(self) -> None:
        """Ask the server, and have its answer."""
        self.upstream(self)

    def answer(self, status: int, code: str) -> None:
        """Answer in the server's place."""
        text = f"<Error><Code>{code}</Code><Message>by the proxy</Message></Error>"
        self.status, self.headers, self.data = status, {"Content-Type": "application/xml"}, text.encode()

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.dropped = True


Fault = Callable[[Exchange], None]


class FaultyStore:
    """The proxy; `fault` is asked before each request is forwarded, `seen` has method and path of all."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.fault: Fault = lambda exchange: None
        self.seen: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Tests read `seen`."""

            def do_GET(self) -> None:
                proxy.handle(self)

            do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self.lock:
            self.seen.append((handler.command, handler.path))
            number = len(self.seen)
        exchange = Exchange(handler.command, handler.path, number, lambda one: self._forward(handler, body, one))
        self.fault(exchange)
        if not exchange.status and not exchange.dropped:
            exchange.forward()
        if exchange.dropped:
            handler.close_connection = True
            return
        handler.close_connection = exchange.cut is not None
        # Who hears that it is refused, or waits no longer, hangs up.
        with suppress(ConnectionError):
            self._answer(handler, exchange)

    def _answer(self, handler: BaseHTTPRequestHandler, exchange: Exchange) -> None:
        handler.send_response(exchange.status)
        headers = {"Content-Length": str(len(exchange.data))} | exchange.headers
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(exchange.data[: exchange.cut])

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes, exchange: Exchange) -> None:
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=30)
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "expect"}
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        exchange.status, exchange.data = answer.status, answer.read()
        exchange.headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("transfer-encoding", "connection")
        }
        connection.close()


@contextmanager
def faulty_store(upstream: str) -> Iterator[FaultyStore]:
    """The proxy while the block runs."""
    proxy = FaultyStore(upstream)
    with serving(proxy.server):
        yield proxy


@contextmanager
def hanging(proxy: FaultyStore) -> Iterator[None]:
    """While the block runs, no request is answered; those that still wait behind it are dropped."""
    over = threading.Event()

    def hang(exchange: Exchange) -> None:
        over.wait(60)
        exchange.drop()

    proxy.fault = hang
    try:
        yield
    finally:
        over.set()


def times(count: int, fault: Fault, when: Callable[[Exchange], bool] = lambda exchange: True) -> Fault:
    """The fault for the first `count` requests that fit."""
    left = [count]

    def limited(exchange: Exchange) -> None:
        if when(exchange) and left[0] > 0:
            left[0] -= 1
            fault(exchange)

    return limited


def in_turn(*faults: Fault) -> Fault:
    """The first fault that does something to a request."""

    def one(exchange: Exchange) -> None:
        for fault in faults:
            if not exchange.status and not exchange.dropped:
                fault(exchange)

    return one


def always(fault: Fault, when: Callable[[Exchange], bool] = lambda exchange: True) -> Fault:
    """The fault for every request that fits."""
    return times(10**9, fault, when)


def from_the(number: int, fault: Fault) -> Fault:
    """The fault from that request on, as a server that has died."""
    return always(fault, lambda exchange: exchange.number >= number)


def drop(exchange: Exchange) -> None:
    """The connection is closed before anything is done."""
    exchange.drop()


def lose_the_answer(exchange: Exchange) -> None:
    """The server does what was asked, and nobody hears of it."""
    exchange.forward()
    exchange.drop()


def busy(exchange: Exchange) -> None:
    """503, as a store under load."""
    exchange.answer(503, "SlowDown")


def deny(exchange: Exchange) -> None:
    """403, as a policy that does not allow it."""
    exchange.answer(403, "AccessDenied")
