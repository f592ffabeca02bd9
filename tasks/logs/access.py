"""Access logs: nginx's combined format in columns of a block at a time, JSON and odd lines one by one.

A block of lines is one array of bytes: where lines, quotes and query strings begin is found by comparing all bytes at
once, and only what differs from line to line (the path) becomes a Python object.
"""

import json
import re
from fnmatch import translate
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from tasks.base.log_review import LogSource
from tasks.logs.attacks import Attack
from tasks.logs.paths import AttackPaths, normalised, path_of, shown_attack
from tasks.logs.tally import HOUR, Tally
from tasks.logs.times import seconds_of

Positions = npt.NDArray[np.int64]
_NEWLINE, _QUOTE, _QUESTION, _SPACE, _OPEN, _CLOSE, _PERCENT = b'\n"? []%'
# [21/Nov/2026:02:00:00 +0000] "GET …: the time begins so many bytes before the first quote.
_TIME, _TIME_LENGTH = 28, 26
_MONTHS = np.array([int.from_bytes(name, "big") for name in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()])
_MONTH_ORDER = np.argsort(_MONTHS)
# Quotes in a line of the combined and of the common format.
_COMBINED, _COMMON = 6, 2
_LINE = re.compile(
    rb'(\S+) \S+ (.*?) ?\[([^\]]{20,32})\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(?: "(?:[^"\\]|\\.)*")*', re.DOTALL
)
_FAILED = frozenset((401, 403, 429))
_IS_FAILED = np.isin(np.arange(1000), tuple(_FAILED))
_RAW_PATHS = 50_000
_PIECE = 64 * 1024
# The names under which usual JSON formats tell the same.
_SOURCE = ("remote_addr", "client_ip", "clientip", "remote_ip", "client")
_USER = ("remote_user", "user")
_STATUS = ("status", "status_code", "response_status")
_TARGET = ("request_uri", "uri", "path", "url")
_MOMENT = ("time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "time", "ts")


class AccessLog:
    """Takes the blocks of one log, and counts into its tally."""

    def __init__(self, source: LogSource, tally: Tally) -> None:
        self._zone, self._tally = source.timezone, tally
        self._paths = _Paths(source)

    def feed(self, block: bytes) -> None:
        """Count the lines of a block, the last of which has its end."""
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        odd = self._columns(block, data, starts, ends)
        for start, end in zip(starts[odd].tolist(), ends[odd].tolist(), strict=True):
            if line := block[start:end].strip():
                self._one(line)

    def _columns(
        self, block: bytes, data: npt.NDArray[np.uint8], starts: Positions, ends: Positions
    ) -> npt.NDArray[np.bool_]:
        """Count the regular lines; True for each line that is none."""
        quotes = np.flatnonzero(data == _QUOTE)
        first = np.searchsorted(quotes, starts)
        number = np.diff(np.append(first, len(quotes)))
        rows = np.flatnonzero((number == _COMBINED) | (number == _COMMON))
        opening, closing = quotes[first[rows]], quotes[first[rows] + 1]
        fits = (opening - _TIME - 1 > starts[rows]) & (closing + 5 < ends[rows])
        rows, opening, closing = rows[fits], opening[fits], closing[fits]
        seconds, good = _seconds(data, opening - _TIME)
        status, is_status = _status(data, closing)
        good &= is_status & (data[opening - 2] == _CLOSE) & (data[opening - _TIME - 1] == _OPEN)
        odd = np.ones(len(starts), np.bool_)
        odd[rows[good]] = False
        self._count(block, data, starts[rows[good]], opening[good], closing[good], seconds[good], status[good])
        return odd

    def _count(
        self, block: bytes, data: npt.NDArray[np.uint8], starts: Positions, opening: Positions, closing: Positions,
        seconds: Positions, status: Positions,
    ) -> None:  # fmt: skip
        tally = self._tally
        if not len(seconds):
            return
        tally.newest = max(tally.newest, float(seconds.max()))
        due = (seconds >= tally.since) & (seconds < tally.until)
        tally.outside += int(len(due) - due.sum())
        if not due.any():
            return
        if not due.all():
            starts, opening, closing, seconds, status = (
                one[due] for one in (starts, opening, closing, seconds, status)
            )
        self._hours(seconds, status)
        # A request's bytes up to its query string are what tells it from others.
        marks = np.append(np.flatnonzero(data == _QUESTION), len(data))
        cuts = np.minimum(marks[np.searchsorted(marks, opening)], closing)
        known = self._paths
        alike = block if known.tells_numbers else _without_numbers(data)
        groups = np.fromiter(
            map(known.__getitem__, map(alike.__getitem__, map(slice, (opening + 1).tolist(), cuts.tolist()))),
            np.int64, len(cuts),
        )  # fmt: skip
        self._by_path(groups, status)
        told = known.are_attacks(groups) | _IS_FAILED[status]
        for row in np.flatnonzero(told).tolist():
            head = block[starts[row] : opening[row] - _TIME - 1].split(b" ", 2)
            user = head[2].strip() if len(head) > 2 else b"-"
            request = block[opening[row] + 1 : cuts[row]]
            self._tell(int(groups[row]), request, int(status[row]), float(seconds[row]), _text(head[0]), _text(user))
        known.forget()

    def _hours(self, seconds: Positions, status: Positions) -> None:
        codes, numbers = np.unique(seconds // HOUR * 10 + status // 100, return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            self._add_hour(code // 10, code % 10, number)

    def _add_hour(self, hour: int, kind: int, number: int) -> None:
        at = float(hour * HOUR)
        self._tally.reviewed += number
        self._tally.count("lines", at, number)
        self._tally.count("requests", at, number)
        if kind in (4, 5):
            self._tally.count("4xx" if kind == 4 else "5xx", at, number)

    def _by_path(self, groups: Positions, status: Positions) -> None:
        wrong = status >= 400
        codes, numbers = np.unique(groups[wrong] * 1000 + status[wrong], return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            self._tally.paths.add((self._paths.names[code // 1000], code % 1000), number)

    def _tell(self, group: int, request: bytes, status: int, at: float, source: str, user: str) -> None:
        """One request that is an attack or a login that failed."""
        attack = self._paths.attacks[group]
        if attack is not None:
            self._tally.attacked_by(shown_attack(_path(request)), attack, source, status, at)
        elif status in _FAILED and (self._paths.logins[group] or (status == 401 and user not in ("", "-"))):
            self._tally.failed_login("" if user == "-" else user, source, at)

    def _one(self, line: bytes) -> None:
        """A line that is JSON or irregular."""
        found = _from_json(line, self._zone) if line[:1] == b"{" else _from_text(line, self._zone)
        if found is None:
            self._tally.malformed += 1
            return
        at, status, source, user, request = found
        self._tally.newest = max(self._tally.newest, at)
        if not self._tally.since <= at < self._tally.until:
            self._tally.outside += 1
            return
        self._add_hour(int(at // HOUR), status // 100, 1)
        request = request.split(b"?", 1)[0]
        group = self._paths[request]
        if status >= 400:
            self._tally.paths.add((self._paths.names[group], status))
        self._tell(group, request, status, at, source, user)
        self._paths.forget()


class _Paths(dict[bytes, int]):
    """The group of each request's beginning (method and path): those that differ by ids only share one."""

    def __init__(self, source: LogSource) -> None:
        super().__init__()
        self._attack_paths = AttackPaths(source.attack_paths, source.expected_paths)
        self._is_login = re.compile("|".join(map(translate, source.login_paths)) or r"(?!)", re.IGNORECASE)
        own = " ".join((*source.attack_paths, *source.expected_paths, *source.login_paths))
        # What the system file tells apart by numbers stays apart.
        self.tells_numbers = any(char.isdigit() for char in own)
        self._groups: dict[tuple[str, bool, Attack | None], int] = {}
        self.names: list[str] = []
        self.attacks: list[Attack | None] = []
        self.logins: list[bool] = []
        self._is_attack = np.zeros(0, np.bool_)

    def __missing__(self, request: bytes) -> int:
        group = self[request] = self._group(request)
        return group

    def _group(self, request: bytes) -> int:
        path = _path(request)
        attack = self._attack_paths.attack(path)
        logs_in = not request.startswith(b"GET ") and self._is_login.match(path) is not None
        name = normalised(path)
        if (name, logs_in, attack) not in self._groups and len(self.names) >= _RAW_PATHS:
            name = "(other paths)"
        group = self._groups.setdefault((name, logs_in, attack), len(self.names))
        if group == len(self.names):
            self.names.append(name)
            self.attacks.append(attack)
            self.logins.append(logs_in)
        return group

    def are_attacks(self, groups: Positions) -> npt.NDArray[np.bool_]:
        """For each of these groups whether it is an attack."""
        if len(self._is_attack) < len(self.names):
            self._is_attack = np.array([attack is not None for attack in self.attacks], np.bool_)
        return self._is_attack[groups]

    def forget(self) -> None:
        """Keep memory flat: what is forgotten is found again."""
        if len(self) > _RAW_PATHS:
            self.clear()


def _seconds(data: npt.NDArray[np.uint8], at: Positions) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """Seconds since 1970 of `21/Nov/2026:02:00:00 +0000` at each position, and where it is such a time."""
    if not len(at):
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    texts = sliding_window_view(data, _TIME_LENGTH)[at]
    # Many lines are of the same second as the one before.
    changed = np.append(True, (texts[1:] != texts[:-1]).any(axis=1))
    seconds, good = _moments(texts[changed].T.astype(np.int64))
    same = np.cumsum(changed) - 1
    return seconds[same], good[same]


def _moments(text: Positions) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """The same of such texts, a row for each place in the text and a column for each line."""
    month = (text[3] << 16) + (text[4] << 8) + text[5]
    index = _MONTH_ORDER[np.minimum(np.searchsorted(_MONTHS, month, sorter=_MONTH_ORDER), 11)]
    good = _MONTHS[index] == month
    fields = []
    for places in ((0, 1), (7, 8, 9, 10), (12, 13), (15, 16), (18, 19), (22, 23), (24, 25)):
        value = np.zeros_like(month)
        for place in places:
            digit = text[place] - 48
            good &= (digit >= 0) & (digit <= 9)
            value = value * 10 + digit
        fields.append(value)
    day, year, hour, minute, second, off_hour, off_minute = fields
    good &= ((text[21] == ord("+")) | (text[21] == ord("-"))) & (day >= 1) & (day <= 31) & (hour < 24) & (minute < 60)
    months = np.where(good, (year - 1970) * 12 + index, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    offset = np.where(text[21] == ord("-"), -1, 1) * (off_hour * 3600 + off_minute * 60)
    return days * 86400 + hour * 3600 + minute * 60 + second - offset, good


def _status(data: npt.NDArray[np.uint8], closing: Positions) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """The three digits behind the request's closing quote, and where they stand there."""
    good = (data[closing + 1] == _SPACE) & (data[closing + 5] == _SPACE)
    value = np.zeros(len(closing), np.int64)
    for n in range(3):
        digit = data[closing + 2 + n].astype(np.int64) - 48
        good &= (digit >= 0) & (digit <= 9)
        value = value * 10 + digit
    return value, good


def _without_numbers(data: npt.NDArray[np.uint8]) -> bytes:
    """The block with 0 for each digit beside another one.

    Most requests of a busy path differ by such numbers only, and no path is shown with one. The two places behind a %
    stay as they are: they are a character.
    """
    # Pieces that stay in a processor's cache cost a tenth; each is looked at with what stands around it.
    pieces = range(0, len(data), _PIECE)
    return b"".join(_zeros(data[max(0, at - 2) : at + _PIECE + 1])[min(at, 2) :][:_PIECE] for at in pieces)


def _zeros(data: npt.NDArray[np.uint8]) -> bytes:
    value = data - np.uint8(48)
    digit = value < np.uint8(10)
    number = np.zeros(len(data), np.bool_)
    np.logical_and(digit[1:], digit[:-1], out=number[1:])
    number[:-1] |= number[1:] & digit[:-1]
    percent = np.flatnonzero(data == _PERCENT)
    number[np.minimum(percent + 1, len(data) - 1)] = number[np.minimum(percent + 2, len(data) - 1)] = False
    # One multiplication of all bytes costs less than to pick those that change.
    return (data - value * number.view(np.uint8)).tobytes()


def _path(request: bytes) -> str:
    words = request.split(b" ", 2)
    return path_of(_text(words[1])) if len(words) > 1 else "-"


Request = tuple[float, int, str, str, bytes]


def _from_text(line: bytes, zone: str) -> Request | None:
    found = _LINE.match(line)
    if found is None:
        return None
    source, user, moment, request, status = found.groups()
    at = seconds_of(_text(moment), zone)
    return None if at is None else (at, int(status), _text(source), _text(user), request)


def _from_json(line: bytes, zone: str) -> Request | None:
    try:
        value: Any = json.loads(line)
        status = int(_first(value, _STATUS))
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None
    at = seconds_of(_first(value, _MOMENT), zone)
    request = _first(value, ("request",))
    if " " not in request:
        method = _first(value, ("request_method", "method", "verb")) or "GET"
        request = f"{method} {_first(value, _TARGET) or request}"
    if at is None or not 100 <= status <= 999 or request.endswith(" "):
        return None
    return at, status, _first(value, _SOURCE), _first(value, _USER), request.encode(errors="replace")


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(value[name]) for name in names if value.get(name) not in (None, "")), "")


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
