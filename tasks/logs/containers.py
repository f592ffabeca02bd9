"""What a container's runtime puts around the lines of its log, taken off again.

Sources: Docker's json-file logging driver (an object with `log` and `time` a line), Kubernetes' CRI logging format
(time, stream, `F` or `P` for a part of a line, then the text), and what `docker compose logs` and `kubectl logs` print.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from tasks.base.log_review import Container

# web-1  | text, also in colours; [pod/web-5d/app] text; both may have the time behind it (--timestamps).
_COMPOSE = re.compile(r"(?:\x1b\[[\d;]*m)*[\w.-]{1,100} *(?:\x1b\[[\d;]*m)*\|(?:\x1b\[[\d;]*m)* ?")
_POD = re.compile(r"\[pod/[^\]\s]{1,200}\] ")
_LONGEST_PARTS = 1024**2

# The time that the runtime tells, empty where it tells none, and the program's own line.
Unwrapped = tuple[str, str]


class Unwrapper:
    """Takes the wrapping off line by line; `malformed` counts lines without it."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._parts: dict[str, list[str]] = {}
        self.malformed = 0

    def lines(self, block: bytes) -> Iterator[Unwrapped]:
        """The whole lines of a block; parts of a line are held until its end comes."""
        one = {
            Container.NONE: lambda line: ("", line),
            Container.DOCKER: self._docker,
            Container.CRI: self._cri,
            Container.TEXT: _text,
        }[self._container]
        for line in block.decode(errors="backslashreplace").split("\n"):
            if line and (found := one(line.rstrip("\r"))) is not None:
                yield found

    def end_file(self) -> None:
        """What no end came for is no line, and is counted; it must not become the beginning of another file's."""
        self.malformed += len(self._parts)
        self._parts.clear()

    def _docker(self, line: str) -> Unwrapped | None:
        try:
            value: Any = json.loads(line)
            text, at, stream = str(value["log"]), str(value.get("time", "")), str(value.get("stream", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.malformed += 1
            return None
        # Docker cuts a long line at 16 KiB; only its last part has the end.
        return self._whole(stream, at, text.rstrip("\n"), ends=text.endswith("\n"))

    def _cri(self, line: str) -> Unwrapped | None:
        words = line.split(" ", 3)
        if len(words) < 3 or words[1] not in ("stdout", "stderr") or words[2][:1] not in ("F", "P"):
            self.malformed += 1
            return None
        return self._whole(words[1], words[0], words[3] if len(words) > 3 else "", ends=words[2][0] == "F")

    def _whole(self, stream: str, at: str, text: str, *, ends: bool) -> Unwrapped | None:
        parts = self._parts.get(stream)
        if ends and not parts:
            return at, text
        parts = self._parts.setdefault(stream, [])
        if sum(map(len, parts)) + len(text) <= _LONGEST_PARTS:
            parts.append(text)
        if not ends:
            return None
        del self._parts[stream]
        return at, "".join(parts)


def _text(line: str) -> Unwrapped:
    found = _COMPOSE.match(line) or _POD.match(line)
    return "", line[found.end() :] if found else line
