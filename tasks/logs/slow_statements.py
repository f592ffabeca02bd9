"""The slow statements of PostgreSQL's logs (log_min_duration_statement, auto_explain), grouped by their text."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from tasks.base.logs import LogPolicy
from tasks.base.statements import without_literals
from tasks.base.words import Frozen
from tasks.logs.files import files_of
from tasks.logs.lock_waits import LockWaits, LoggedWait
from tasks.logs.plans import query_and_plan
from tasks.logs.records import Broken, LogRecord, read

# "duration: 12.5 ms  execute <unnamed>: SELECT …", whatever language the server's messages are in.
_DURATION = re.compile(r"[^\d:]{2,24}: (\d+\.\d+) ms  ([^:]{2,120}):\s(.*)", re.DOTALL)
_PREPARING = ("parse ", "bind ")
# In a list of values only their being there tells statements apart.
_VALUES = re.compile(r"\?(?:\s*,\s*\?)+")
_ROWS = re.compile(r"(\([^()]*\))(?:\s*,\s*\1)+")
# Memory stays flat whatever a server logs; so many broken records are named.
_GROUPS, _NAMED = 5000, 5


class LoggedStatement(Frozen):
    """One statement as the logs tell it, over the period that was read."""

    database: str
    statement: str
    calls: int
    total_ms: float
    mean_ms: float
    max_ms: float
    first: datetime
    last: datetime
    plan: str = ""


class LogReading(Frozen):
    """What the files held; `unreadable` and `broken` say what is missing from it."""

    files: int = 0
    records: int = 0
    statements: tuple[LoggedStatement, ...] = ()
    lock_waits: tuple[LoggedWait, ...] = ()
    unreadable: tuple[str, ...] = ()
    broken: int = 0
    broken_first: tuple[Broken, ...] = ()
    left_out: int = 0


@dataclass
class _Times:
    calls: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0

    def add(self, duration_ms: float) -> None:
        self.calls += 1
        self.total_ms += duration_ms
        self.max_ms = max(self.max_ms, duration_ms)


@dataclass
class _Group:
    """Of one statement the log may tell its execution, its preparing and its plan, each with a duration of its own."""

    first: datetime
    last: datetime
    executed: _Times = field(default_factory=_Times)
    planned: _Times = field(default_factory=_Times)
    prepared: _Times = field(default_factory=_Times)
    plan: str = ""
    plan_ms: float = -1.0

    @property
    def told(self) -> _Times:
        """A plan is of an execution that may be logged as well: it counts only where that is not."""
        return next((one for one in (self.executed, self.planned, self.prepared) if one.calls), self.executed)


def slow_statements(policy: LogPolicy, since: datetime, until: datetime) -> LogReading:
    """Read all files of the patterns once; the statements and waits for locks between the two moments, worst first.

    Raises ConfigurationError for a pattern that is not absolute, or has an unset variable.
    """
    groups: dict[tuple[str, str], _Group] = {}
    unreadable: list[str] = []
    broken: list[Broken] = []
    waits = LockWaits()
    files = records = broken_count = left_out = 0
    for path in files_of(policy.postgres, since):
        try:
            for record in read(path, policy.timezone):
                if isinstance(record, Broken):
                    broken_count += 1
                    broken += [record] if len(broken) < _NAMED else []
                    continue
                records += 1
                if since <= record.at < until and not waits.add(record):
                    left_out += _add(groups, record)
        except OSError as error:
            unreadable.append(f"{path}: {error.strerror or type(error).__name__}")
        else:
            files += 1
    statements = sorted((_statement(key, group) for key, group in groups.items()), key=lambda one: -one.total_ms)
    return LogReading(
        files=files, records=records, statements=tuple(statements), unreadable=tuple(unreadable), broken=broken_count,
        broken_first=tuple(broken), left_out=left_out, lock_waits=waits.found(),
    )  # fmt: skip


def grouped_text(statement: str) -> str:
    """The statement without literals, and with lists of them as one: `IN (?, …)`, `VALUES (?, …), …`."""
    return _ROWS.sub(r"\1, …", _VALUES.sub("?, …", without_literals(statement)))


def _add(groups: dict[tuple[str, str], _Group], record: LogRecord) -> int:
    """Add the record's duration to its group; 1 when it belongs to none, because there are too many."""
    found = _DURATION.match(record.message)
    if found is None:
        return 0
    duration_ms, kind, text = float(found[1]), found[2], found[3]
    plan = ""
    if kind == "plan":
        known = query_and_plan(text)
        if known is None:
            return 0
        text, plan = known
    key = (record.database, grouped_text(text))
    if key not in groups and len(groups) >= _GROUPS:
        return 1
    group = groups.setdefault(key, _Group(record.at, record.at))
    group.first, group.last = min(group.first, record.at), max(group.last, record.at)
    (group.planned if plan else group.prepared if kind.startswith(_PREPARING) else group.executed).add(duration_ms)
    if plan and duration_ms > group.plan_ms:
        group.plan, group.plan_ms = plan, duration_ms
    return 0


def _statement(key: tuple[str, str], group: _Group) -> LoggedStatement:
    told = group.told
    return LoggedStatement(
        database=key[0], statement=key[1], calls=told.calls, total_ms=round(told.total_ms, 3),
        mean_ms=round(told.total_ms / max(1, told.calls), 3), max_ms=told.max_ms, first=group.first, last=group.last,
        plan=group.plan,
    )  # fmt: skip
