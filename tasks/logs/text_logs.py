"""Logs that are read line by line: sshd's and applications', with or without a container around them."""

import json
import re
from datetime import datetime
from typing import Any

from tasks.base.log_review import LogKind, LogSource
from tasks.logs.containers import Unwrapper
from tasks.logs.logins import Application, Sshd
from tasks.logs.tally import Tally
from tasks.logs.times import leading_time, seconds_of

# So much of a line is looked at for logins, errors and expressions.
_LOOKED_AT = 4096
_LEVELS = ("error", "fatal", "critical", "panic", "emerg", "emergency", "alert", "severe", "crit", "err")
_ERROR = re.compile(
    r"\b(?:ERROR|FATAL|CRITICAL|PANIC|EMERG|ALERT|SEVERE)\b|\[(?:error|crit|alert|emerg)\]|"
    r"\b(?:level|severity|lvl)=\"?(?i:error|fatal|critical|panic|crit)\b|^Traceback \(most recent call last\)|"
    r"^(?:error|fatal|panic):"
)
# Each of the above has one of these, which cost less to look for.
_ERROR_WORDS = (
    "ERROR", "FATAL", "CRITICAL", "PANIC", "EMERG", "ALERT", "SEVERE", "[error]", "[crit]", "[alert]", "[emerg]",
    "level=", "severity=", "lvl=", "Traceback", "error:", "fatal:", "panic:",
)  # fmt: skip
_MOMENT = ("time", "timestamp", "@timestamp", "ts", "datetime", "date")
_LEVEL = ("level", "severity", "lvl", "log.level", "levelname")
_MESSAGE = ("message", "msg", "error", "event", "detail")


class TextLog:
    """Takes the blocks of one log, and counts into its tally."""

    def __init__(self, source: LogSource, tally: Tally, until: datetime, unwrapper: Unwrapper) -> None:
        self._source, self._tally, self._until = source, tally, until
        self._unwrapper = unwrapper
        self._logins = Sshd() if source.kind is LogKind.SSHD else Application(source.failed_logins)
        self._further = Application(source.failed_logins, usual=False) if source.kind is LogKind.SSHD else None
        self._watch = {name: re.compile(pattern) for name, pattern in source.watch.items()}
        self._last: float | None = None

    def begin_file(self) -> None:
        """The first lines of a file belong to no line of the file before."""
        self._last = None

    def feed(self, block: bytes) -> None:
        """Count the lines of a block, the last of which has its end."""
        for wrapped_at, line in self._unwrapper.lines(block):
            if line.strip():
                self._one(wrapped_at, line)

    def _one(self, wrapped_at: str, line: str) -> None:
        value = _object(line) if line[:1] == "{" else None
        at, text = self._moment(wrapped_at, line, value)
        if at is None:
            # What follows a line without a time of its own belongs to it: a traceback, the rest of a statement.
            if self._last is None:
                self._tally.malformed += 1
                return
            at = self._last
        self._last = at
        if not self._tally.is_due(at):
            return
        text = text[:_LOOKED_AT]
        login = self._logins.login(text)
        if login is None and self._further is not None:
            login = self._further.login(text)
        if login is not None and login.failed:
            self._tally.failed_login(login.user, login.source, at, login.number)
        elif login is not None:
            self._tally.login(login.user, login.source, at)
        if self._source.kind is LogKind.APPLICATION:
            self._error(value, text, at)
        for name, pattern in self._watch.items():
            if pattern.search(text):
                self._tally.watch(name, at)

    def _moment(self, wrapped_at: str, line: str, value: dict[str, Any] | None) -> tuple[float | None, str]:
        """The line's time, that of the container where it tells one, and the text behind it."""
        zone = self._source.timezone
        told = seconds_of(wrapped_at, zone) if wrapped_at else None
        if value is not None:
            own = next((value[name] for name in _MOMENT if value.get(name)), None)
            return told if told is not None else seconds_of(str(own), zone) if own is not None else None, line
        found = leading_time(line, zone, self._until)
        if found is None:
            return told, line
        return told if told is not None else found[0], found[1]

    def _error(self, value: dict[str, Any] | None, text: str, at: float) -> None:
        if value is not None:
            level = next((str(value[name]) for name in _LEVEL if name in value), "")
            if level.lower() in _LEVELS:
                self._tally.error(next((str(value[name]) for name in _MESSAGE if value.get(name)), level), at)
        elif any(word in text for word in _ERROR_WORDS) and _ERROR.search(text):
            self._tally.error(text, at)


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
