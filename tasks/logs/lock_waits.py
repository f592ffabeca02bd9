"""Waits for locks as PostgreSQL's logs tell them (log_lock_waits), grouped by database, kind of lock and object.

Source of the messages: ProcSleep in PostgreSQL's storage/lmgr/proc.c. A wait is logged when it has lasted for
deadlock_timeout, and again when it is over; shorter ones are not, and a server that speaks another language says it
otherwise.
"""

import re
from dataclasses import dataclass, field

from tasks.base.words import Frozen
from tasks.logs.records import LogRecord

HEADER = ("database", "lock", "object", "waits", "ended", "total_ms", "max_ms")
_WAIT = re.compile(r"process (\d+) (still waiting for|acquired) (\w+) on (.+) after (\d+\.\d+) ms")
# Each transaction and row has a number of its own: what they are is all that groups them.
_OWN_NUMBERS = (
    (re.compile(r"^(virtual )?transaction .*"), r"a \1transaction"),
    (re.compile(r"^tuple \S+ of"), "a row of"),
)
# Memory stays flat whatever a server logs.
_GROUPS = 5000


class LoggedWait(Frozen):
    """All logged waits of one kind: `total_ms` is of those that were seen to end, `max_ms` of all."""

    database: str
    lock: str
    object: str
    waits: int
    ended: int
    total_ms: float
    max_ms: float


@dataclass
class _Group:
    waits: int = 0
    ended: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0
    waiting: set[str] = field(default_factory=set)


class LockWaits:
    """Takes the records of logs one by one."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], _Group] = {}

    def add(self, record: LogRecord) -> bool:
        """Whether it tells of a wait, which is then counted; one of a new kind beyond the limit is passed over."""
        found = _WAIT.match(record.message)
        if found is None:
            return False
        process, state, lock, object_, milliseconds = found.groups()
        for pattern, said in _OWN_NUMBERS:
            object_ = pattern.sub(said, object_)
        key = (record.database, lock, object_)
        if key in self._groups or len(self._groups) < _GROUPS:
            _count(self._groups.setdefault(key, _Group()), process, state == "acquired", float(milliseconds))
        return True

    def found(self) -> tuple[LoggedWait, ...]:
        """Every kind, the longest wait first."""
        kinds = [
            LoggedWait(
                database=database, lock=lock, object=object_, waits=one.waits, ended=one.ended,
                total_ms=round(one.total_ms, 3), max_ms=one.max_ms,
            )
            for (database, lock, object_), one in self._groups.items()
        ]  # fmt: skip
        return tuple(sorted(kinds, key=lambda one: (-one.max_ms, one.database, one.lock, one.object)))


def _count(group: _Group, process: str, ended: bool, milliseconds: float) -> None:
    # The end of one whose beginning lies in an older file is a wait too.
    group.waits += process not in group.waiting
    group.waiting.add(process)
    group.max_ms = max(group.max_ms, milliseconds)
    if ended:
        group.waiting.discard(process)
        group.ended += 1
        group.total_ms += milliseconds
