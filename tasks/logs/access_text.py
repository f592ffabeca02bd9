"""Access logs in nginx's combined format and in the common one, a block of lines at a time.

A block is one array of bytes: where lines and quotes begin is found by comparing all bytes at once.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from tasks.logs.requests import Flags, Positions, Request, Requests
from tasks.logs.times import seconds_of

Bytes = npt.NDArray[np.uint8]
_NEWLINE, _QUOTE, _SPACE, _OPEN, _CLOSE = b'\n" []'
# [21/Nov/2026:02:00:00 +0000] "GET …: the time begins so many bytes before the first quote.
_TIME, _TIME_LENGTH = 28, 26
_MONTHS = np.array([int.from_bytes(name, "big") for name in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()])
_MONTH_ORDER = np.argsort(_MONTHS)
# Quotes in a line of the combined and of the common format.
_COMBINED, _COMMON = 6, 2
_LINE = re.compile(
    rb'(\S+) \S+ (.*?) ?\[([^\]]{20,32})\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(?: "(?:[^"\\]|\\.)*")*', re.DOTALL
)


class Block:
    """Lines, the last of which has its end."""

    def __init__(self, block: bytes) -> None:
        self._block, self._data = block, np.frombuffer(block, np.uint8)
        self._ends = np.flatnonzero(self._data == _NEWLINE)
        self._starts = np.concatenate(([0], self._ends[:-1] + 1))

    def requests(self) -> tuple[Requests, list[bytes]]:
        """The requests of the regular lines, and all other lines that are not blank."""
        data, starts, ends = self._data, self._starts, self._ends
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
        who, every = self._who(starts[rows], opening), np.arange(len(rows))
        regular = Requests(self._block, opening + 1, closing, seconds, status, every, who)
        return regular.only(good), self._lines(odd)

    def _who(self, starts: Positions, opening: Positions) -> Callable[[int], tuple[str, str]]:
        """What stands before the time: the source, a field that nobody uses, the user, who may have blanks."""

        def who(row: int) -> tuple[str, str]:
            head = self._block[starts[row] : opening[row] - _TIME - 1].split(b" ", 2)
            user = head[2].strip() if len(head) > 2 else b"-"
            return _decoded(head[0]), _decoded(user)

        return who

    def _lines(self, odd: Flags) -> list[bytes]:
        found = zip(self._starts[odd].tolist(), self._ends[odd].tolist(), strict=True)
        return [line for start, end in found if (line := self._block[start:end].strip())]


def _seconds(data: Bytes, at: Positions) -> tuple[Positions, Flags]:
    """Seconds since 1970 of `21/Nov/2026:02:00:00 +0000` at each position, and where it is such a time."""
    if not len(at):
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    texts = sliding_window_view(data, _TIME_LENGTH)[at]
    # Many lines are of the same second as the one before.
    changed = np.append(True, (texts[1:] != texts[:-1]).any(axis=1))
    seconds, good = _moments(texts[changed].T.astype(np.int64))
    same = np.cumsum(changed) - 1
    return seconds[same], good[same]


def _moments(text: Positions) -> tuple[Positions, Flags]:
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


def _status(data: Bytes, closing: Positions) -> tuple[Positions, Flags]:
    """The three digits behind the request's closing quote, and where they stand there."""
    good = (data[closing + 1] == _SPACE) & (data[closing + 5] == _SPACE)
    value = np.zeros(len(closing), np.int64)
    for n in range(3):
        digit = data[closing + 2 + n].astype(np.int64) - 48
        good &= (digit >= 0) & (digit <= 9)
        value = value * 10 + digit
    return value, good


def from_text(line: bytes, zone: str) -> Request | None:
    """A line that is not regular, by an expression; None for what is no request."""
    found = _LINE.match(line)
    if found is None:
        return None
    source, user, moment, request, status = found.groups()
    at = seconds_of(_decoded(moment), zone)
    return None if at is None else Request(at, int(status), _decoded(source), _decoded(user), request)


def _decoded(value: bytes) -> str:
    return value.decode(errors="replace")
