"""A door to an S3 server that counts requests and kills a process at one of them."""

import contextlib
import http.client
import os
import signal
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

PLACES = ("before", "half", "after")
When = Callable[[int, str], object]
_HOP = {"connection", "transfer-encoding", "expect", "keep-alive"}


def never(_number: int, _request: str) -> object:
    return False


class KillingProxy:
    """Listens on loopback. Once armed, the first request for which `when(number, request)` says so is struck:
    before its work, in the middle of its body, or after its work and before its answer."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.removeprefix("http://")
        self._lock, self._aimed = Lock(), Event()
        self._pid, self._when, self._place = 0, never, "before"
        self.requests: list[str] = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def arm(self, when: When, place: str) -> None:
        """Count from now on. The process is named by `aim`, as soon as it runs."""
        with self._lock:
            self.requests, self._when, self._place = [], when, place
            self._aimed.clear()

    def aim(self, pid: int) -> None:
        self._pid = pid
        self._aimed.set()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def arrived(self, request: str) -> str:
        """Where this request is to be stopped, empty for not at all."""
        with self._lock:
            self.requests.append(request)
            if not self._when(len(self.requests), request):
                return ""
            self._when = never
            return self._place

    def strike(self) -> None:
        assert self._aimed.wait(120), "armed, but nobody to kill"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def forward(self, handler: "_Handler", body: bytes, send: bytes) -> tuple[http.client.HTTPResponse, bytes] | None:
        """The server's answer; None when only a part of the body was sent and the line was cut."""
        line = http.client.HTTPConnection(self._upstream, timeout=120)
        try:
            line.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in _HOP:
                    line.putheader(name, value)
            line.endheaders(send)
            if send != body:
                return None
            answer = line.getresponse()
            return answer, answer.read()
        finally:
            line.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: KillingProxy

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = self.proxy.arrived(f"{self.command} {self.path}")
        self.close_connection = bool(place)
        if place == "before" or (place == "half" and not body):
            self.proxy.strike()
            return
        answered = self.proxy.forward(self, body, body[: len(body) // 2] if place == "half" else body)
        if place or answered is None:
            self.proxy.strike()
            return
        answer, data = answered
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_) -> None:
        pass
