"""When accounts were last seen on a host: lastlog, lastlog2, wtmp and wtmpdb, whichever the host keeps."""

import contextlib
import sqlite3
import struct
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import Field

from tasks.base.words import Frozen
from tasks.host.root import Root

# struct lastlog (time, line, host) and struct utmp of glibc on 64-bit Linux, bits/utmp.h; type 7 is a user's login.
_LASTLOG = struct.Struct("=i32s256s")
_UTMP = struct.Struct("=hxxi32s4s32s256shhiii4i20x")
_USER_PROCESS = 7
_LASTLOG_FILE = "/var/log/lastlog"
_DATABASES = (
    ("/var/lib/lastlog/lastlog2.db", "SELECT Name, Time FROM Lastlog2"),
    ("/var/lib/wtmpdb/wtmp.db", "SELECT User, max(Login) / 1000000 FROM wtmp WHERE Type = 3 GROUP BY User"),
)
# A name, and seconds since 1970; none of them: never.
Login = tuple[str, float]


class Logins(Frozen):
    """The last login by account, and which records told it."""

    last: dict[str, datetime]
    records: tuple[str, ...]
    begin: datetime | None = Field(description="Nothing is known of before; None: of the whole life of the host")


def read_logins(root: Root, uids: Iterable[tuple[str, int]]) -> Logins:
    """The latest login of each account in any record; no record at all is for the caller to tell."""
    last: dict[str, datetime] = {}
    records: dict[str, list[Login]] = {**_of_databases(root), **_of_lastlog(root, list(uids)), **_of_wtmp(root)}
    begin = None
    for name, seconds in (login for found in records.values() for login in found if login[1] > 0):
        moment = datetime.fromtimestamp(seconds, UTC)
        last[name] = max(moment, last.get(name, moment))
        begin = min(moment, begin or moment)
    # Both lastlogs hold one row an account for ever; wtmp is rotated away.
    forever = any("lastlog" in path for path in records)
    return Logins(last=last, records=tuple(records), begin=None if forever else begin)


def _of_databases(root: Root) -> dict[str, list[Login]]:
    found: dict[str, list[Login]] = {}
    for path, query in _DATABASES:
        data = root.read(path)
        if data:
            try:
                found[path] = [(str(name), float(seconds or 0)) for name, seconds in _rows(data, query)]
            except sqlite3.Error as error:
                root.miss(f"{path} is no database that can be read ({error}); look at it with sqlite3")
    return found


def _of_lastlog(root: Root, accounts: list[tuple[str, int]]) -> dict[str, list[Login]]:
    """One record a uid, a terabyte of holes when uids are large: only the records that are wanted are read."""
    entries = root.parts(_LASTLOG_FILE, [uid * _LASTLOG.size for _, uid in accounts], _LASTLOG.size)
    if not entries or not any(entries):
        return {}
    named = zip(accounts, entries, strict=True)
    return {_LASTLOG_FILE: [(name, _LASTLOG.unpack(one)[0]) for (name, _), one in named if len(one) == _LASTLOG.size]}


def _of_wtmp(root: Root) -> dict[str, list[Login]]:
    found: dict[str, list[Login]] = {}
    for path in ("/var/log/wtmp", "/var/log/wtmp.1"):
        data = root.read(path)
        if data:
            entries = _UTMP.iter_unpack(data[: len(data) - len(data) % _UTMP.size])
            users = [entry for entry in entries if entry[0] == _USER_PROCESS]
            found[path] = [(one[4].split(b"\0")[0].decode(errors="replace"), one[9]) for one in users]
    return found


def _rows(data: bytes, query: str) -> list[tuple[object, float | None]]:
    """A copy in memory is asked, so that a file of a mounted host is neither locked nor changed.

    A journal in WAL mode has two bytes that say so; the copy has no WAL beside it and reads what was checkpointed.
    """
    copy = bytearray(data)
    copy[18:20] = b"\x01\x01"
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(bytes(copy))
        return database.execute(query).fetchall()
