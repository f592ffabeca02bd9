"""What is counted in a log, with flat memory: counts by hour, logins, requests by path, attacks, messages."""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from tasks.logs.attacks import Attack
from tasks.logs.messages import shape_of

Key = TypeVar("Key", bound=Hashable)
HOUR = 3600
INVALID_USER = "(invalid user)"
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,39}\$?|\(invalid user\)")
_SOURCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:_-]{0,63}|::[0-9A-Fa-f.:]*|\[local\]")
_GROUPS = 5000


class Bounded(Generic[Key]):
    """Counts by key; when there are too many keys, new ones are only counted together."""

    def __init__(self, most: int = _GROUPS) -> None:
        self.counts: Counter[Key] = Counter()
        self.others = 0
        self._most = most

    def add(self, key: Key, count: int = 1) -> None:
        """Count it."""
        if key in self.counts or len(self.counts) < self._most:
            self.counts[key] += count
        else:
            self.others += count


@dataclass
class Attacked:
    """Requests for one path of a known attack."""

    attack: Attack
    requests: int = 0
    served: int = 0
    last_served: float = 0.0
    last_refused: float = 0.0

    def add(self, status: int, at: float) -> None:
        """A request for it, and how it was answered."""
        self.requests += 1
        if 200 <= status < 300:
            self.served += 1
            self.last_served = max(self.last_served, at)
        else:
            self.last_refused = max(self.last_refused, at)


@dataclass
class Shape:
    """Messages of one shape."""

    count: int
    first: float
    last: float


@dataclass
class Tally:
    """All counts of one log in one period; times are seconds since 1970, `since` inclusive, `until` exclusive."""

    since: float
    until: float
    # Lines of the period, those of other times, those without any, those in no known format.
    reviewed: int = 0
    outside: int = 0
    malformed: int = 0
    newest: float = 0.0
    hours: Counter[tuple[int, str]] = field(default_factory=Counter)
    failed: Bounded[tuple[str, str]] = field(default_factory=Bounded)
    # Failures of a source since its last login, and logins (user, source) that came after many of them.
    _streaks: dict[str, int] = field(default_factory=dict)
    suspicious: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    paths: Bounded[tuple[str, int]] = field(default_factory=Bounded)
    attacked: dict[str, Attacked] = field(default_factory=dict)
    attackers: Bounded[str] = field(default_factory=Bounded)
    messages: dict[str, Shape] = field(default_factory=dict)
    other_messages: int = 0
    watched: Counter[str] = field(default_factory=Counter)
    streak: int = 10

    def is_due(self, at: float) -> bool:
        """True for a line of the period, which is counted; False for one of another time."""
        self.newest = max(self.newest, at)
        if self.since <= at < self.until:
            self.reviewed += 1
            self.count("lines", at)
            return True
        self.outside += 1
        return False

    def count(self, measure: str, at: float, number: int = 1) -> None:
        """Add to an hour's count."""
        self.hours[int(at // HOUR), measure] += number

    def total(self, measure: str) -> int:
        """The sum over all hours."""
        return sum(number for (_, name), number in self.hours.items() if name == measure)

    def failed_login(self, user: str, source: str, at: float, number: int = 1) -> None:
        """A login that failed, or several at once."""
        user, source = shown_user(user), shown_source(source)
        self.count("failed logins", at, number)
        self.failed.add((user, source), number)
        if source in self._streaks or len(self._streaks) < _GROUPS:
            self._streaks[source] = self._streaks.get(source, 0) + number

    def login(self, user: str, source: str, at: float) -> None:
        """A login; after many failures from its source it is remembered."""
        user, source = shown_user(user), shown_source(source)
        failures = self._streaks.pop(source, 0)
        if source and failures >= self.streak and len(self.suspicious) < _GROUPS:
            self.suspicious[user, source] = failures, at

    def attacked_by(self, path: str, attack: Attack, source: str, status: int, at: float) -> None:
        """A request for a path of a known attack."""
        self.count("attacks", at)
        self.attackers.add(shown_source(source))
        if path in self.attacked or len(self.attacked) < _GROUPS:
            self.attacked.setdefault(path, Attacked(attack)).add(status, at)

    def error(self, message: str, at: float, code: str = "") -> None:
        """A message of an error, grouped by its code and what is the same in all of its kind."""
        self.count("errors", at)
        shape = f"{code} {shape_of(message)}".lstrip()
        known = self.messages.get(shape)
        if known is not None:
            known.count, known.first, known.last = known.count + 1, min(known.first, at), max(known.last, at)
        elif len(self.messages) < _GROUPS:
            self.messages[shape] = Shape(1, at, at)
        else:
            self.other_messages += 1

    def watch(self, name: str, at: float) -> None:
        """A line that one of the system file's expressions fits."""
        self.count(f"watched {name}", at)
        self.watched[name] += 1


def shown_user(user: str) -> str:
    """A user's name as it may be shown: what does not look like one may be a password in the wrong field."""
    return user if not user or _USER.fullmatch(user) else "(no usual name)"


def shown_source(source: str) -> str:
    """An address or a host's name; anything else is a text that somebody sent."""
    return source if not source or _SOURCE.fullmatch(source) else "(no address)"


def tally_of(since: datetime, until: datetime, streak: int) -> Tally:
    """An empty one of that period; `streak` is how many failures make a later login suspicious."""
    return Tally(since.timestamp(), until.timestamp(), streak=streak)
