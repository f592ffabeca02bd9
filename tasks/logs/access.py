"""Access logs: the requests of a log, counted by hour, path and status, with attacks and logins that failed.

What many lines tell alike is counted in columns of a block at a time; odd lines are read one by one.
"""

import numpy as np

from tasks.base.log_review import LogSource
from tasks.logs.access_json import from_json, requests_of
from tasks.logs.access_text import Block, from_text
from tasks.logs.paths import shown_attack
from tasks.logs.request_groups import RequestGroups, request_path, without_numbers
from tasks.logs.requests import Positions, Requests
from tasks.logs.tally import HOUR, Tally

_QUESTION = ord("?")
_FAILED = frozenset((401, 403, 429))
_IS_FAILED = np.isin(np.arange(1000), tuple(_FAILED))


class AccessLog:
    """Takes the blocks of one log, and counts into its tally."""

    def __init__(self, source: LogSource, tally: Tally) -> None:
        self._zone, self._tally = source.timezone, tally
        self._groups = RequestGroups(source)

    def feed(self, block: bytes) -> None:
        """Count the lines of a block, the last of which has its end."""
        requests, others = Block(block).requests()
        self._count(requests)
        objects, odd = requests_of([line for line in others if line[:1] == b"{"], self._zone)
        for columns in objects:
            self._count(columns)
        for line in (*odd, *(line for line in others if line[:1] != b"{")):
            self._one(line)

    def _count(self, requests: Requests) -> None:
        tally, groups = self._tally, self._groups
        if not len(requests.seconds):
            return
        tally.newest = max(tally.newest, float(requests.seconds.max()))
        due = (requests.seconds >= tally.since) & (requests.seconds < tally.until)
        tally.outside += int(len(due) - due.sum())
        if not due.any():
            return
        text, begins, ends, seconds, status, rows, who = requests if due.all() else requests.only(due)
        self._hours(seconds, status)
        # A request's bytes up to its query string are what tells it from others.
        data = np.frombuffer(text, np.uint8)
        marks = np.append(np.flatnonzero(data == _QUESTION), len(data))
        cuts = np.minimum(marks[np.searchsorted(marks, begins)], ends)
        alike = text if groups.tells_numbers else without_numbers(data)
        numbers = np.fromiter(
            map(groups.__getitem__, map(alike.__getitem__, map(slice, begins.tolist(), cuts.tolist()))),
            np.int64, len(cuts),
        )  # fmt: skip
        self._by_path(numbers, status)
        told = groups.are_attacks(numbers) | _IS_FAILED[status]
        for row in np.flatnonzero(told).tolist():
            request = text[begins[row] : cuts[row]]
            self._tell(int(numbers[row]), request, int(status[row]), float(seconds[row]), *who(int(rows[row])))
        groups.forget()

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
            self._tally.paths.add((self._groups.names[code // 1000], code % 1000), number)

    def _tell(self, group: int, request: bytes, status: int, at: float, source: str, user: str) -> None:
        """One request that is an attack or a login that failed."""
        attack = self._groups.attacks[group]
        if attack is not None:
            self._tally.attacked_by(shown_attack(request_path(request)), attack, source, status, at)
        elif status in _FAILED and (self._groups.logins[group] or (status == 401 and user not in ("", "-"))):
            self._tally.failed_login("" if user == "-" else user, source, at)

    def _one(self, line: bytes) -> None:
        """A line that is JSON or irregular."""
        found = from_json(line, self._zone) if line[:1] == b"{" else from_text(line, self._zone)
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
        group = self._groups[request]
        if status >= 400:
            self._tally.paths.add((self._groups.names[group], status))
        self._tell(group, request, status, at, source, user)
        self._groups.forget()
