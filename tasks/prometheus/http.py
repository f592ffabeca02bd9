"""One question to a server of Prometheus' family, under one deadline; what is no answer is told in one sentence."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, RefusedError, ToolFailedError, UnreachableError
from tasks.base.prometheus import MetricsServer
from tasks.base.secrets import resolve

_MOST_BYTES = 128 * 1024**2


@contextmanager
def _cut_after(seconds: float) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Cut the block's connection after that time; httpx' own timeouts begin anew with every byte that drips in."""
    opened: list[socket.socket] = []
    over = threading.Event()

    def trace(event: str, about: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            opened.append(about["return_value"].get_extra_info("socket"))
            if over.is_set():
                # It took as long to open: nobody comes any more to cut it.
                cut()

    def cut() -> None:
        over.set()
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


class Asked:
    """The server that is asked, by its name and by where the system file names it."""

    def __init__(self, server: MetricsServer, name: str, key: str) -> None:
        """Raises ConfigurationError when the system file names none. The deadline begins now."""
        if server.url is None:
            raise ConfigurationError(f"the system file names no {name}; set {key}.url")
        self.server, self.name, self.key, self.url = server, name, key, server.url
        self.elapsed: Callable[[], float] = stopwatch()

    def rest(self) -> float:
        """Seconds that are left."""
        return max(0.1, self.server.deadline_seconds - self.elapsed())

    def answer(self, method: str, path: str, data: Mapping[str, str] | None = None) -> bytes:
        """The body of one answer, read in pieces so that a server that drips keeps nobody beyond the deadline.

        Raises UnreachableError when it does not answer in time, RefusedError with its own words.
        """
        body = bytearray()
        try:
            with (
                _cut_after(self.rest()) as trace,
                httpx.Client(timeout=self.rest(), headers=self._headers(), auth=self._basic()) as client,
                client.stream(method, f"{self.url}{path}", data=data, extensions={"trace": trace}) as answer,
            ):
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise ToolFailedError(f"{self.url} answers more than {_MOST_BYTES} bytes; aggregate the query")
        except httpx.TimeoutException:
            raise UnreachableError(self._too_slow()) from None
        except httpx.HTTPError as error:
            if self.elapsed() >= self.server.deadline_seconds:
                raise UnreachableError(self._too_slow()) from None
            raise UnreachableError(f"{self.name} at {self.url} does not answer ({error}); is it running?") from None
        # A body without a length ends where it was cut.
        if self.elapsed() >= self.server.deadline_seconds:
            raise UnreachableError(self._too_slow())
        self._check_status(answer.status_code, bytes(body))
        return bytes(body)

    def no_answer(self) -> ToolFailedError:
        """What to raise for a body that is none of such a server's."""
        article = "an" if self.name[0] in "AEIOU" else "a"
        return ToolFailedError(f"{self.url} gives no answer of {article} {self.name}; check {self.key}.url")

    def _headers(self) -> dict[bytes, bytes]:
        if self.server.token is None:
            return {}
        token = resolve(self.server.token)
        if not token.isprintable():
            raise ConfigurationError(
                f"{self.server.token} holds several lines, or characters that no header can carry; write the token of "
                f"{self.name} there and nothing else"
            )
        # As bytes, for the client takes nothing but ASCII as text, and quotes the token where it refuses it.
        return {b"Authorization": f"Bearer {token}".encode()}

    def _basic(self) -> tuple[str, str] | None:
        user, password = self.server.username, self.server.password
        return (user, resolve(password)) if user and password else None

    def _check_status(self, status: int, body: bytes) -> None:
        """Raises for anything but 200, with what the server says itself."""
        if status == 200:
            return
        try:
            said = str(json.loads(body).get("error", ""))
        except (ValueError, AttributeError):
            said = ""
        sentence = f"{self.name} at {self.url} answers {status}{': ' if said else ''}{said[:300]}"
        if status in (429, 502, 503, 504):
            raise UnreachableError(f"{sentence}; it is overloaded or starting, try again later")
        if status in (401, 403):
            raise RefusedError(f"{sentence}; check {self.key}.token, or username and password")
        if status in (400, 422):
            raise RefusedError(f"{sentence}; correct the query in the system file")
        raise RefusedError(f"{sentence}; check {self.key}.url")

    def _too_slow(self) -> str:
        return (
            f"{self.name} at {self.url} gave no whole answer within {self.server.deadline_seconds:g} s; "
            f"make the query cheaper, or raise {self.key}.deadline_seconds"
        )
