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
_DATABASES = (
    ("/var/lib/lastlog/lastlog2.db", "SELECT Name, Time FROM Lastlog2"),
    ("/var/lib/wtmpdb/wtmp.db", "SELECT User, max(Login) / 1000000 FROM wtmp WHERE Type = 3 GROUP BY User"),
)


class Logins(Frozen):
    """The last login by account, and which records told it."""

    last: dict[str, datetime]
    records: tuple[str, ...]
    begin: datetime | None = Field(description="Nothing is known of before; None: of the whole life of the host")


def read_logins(root: Root, uids: Iterable[tuple[str, int]]) -> Logins:
    """The latest login of each account in any record; no record at all is for the caller to tell."""
    last: dict[str, datetime] = {}
    records = []
    begin = None

    def saw(name: str, seconds: float) -> None:
        nonlocal begin
        if seconds > 0:
            moment = datetime.fromtimestamp(seconds, UTC)
            last[name] = max(moment, last.get(name, moment))
            begin = min(moment, begin or moment)

    for path, query in _DATABASES:
        data = root.read(path)
        if data:
            try:
                found = _rows(data, query)
            except sqlite3.Error as error:
                root.miss(f"{path} is no database that can be read ({error}); look at it with sqlite3")
                continue
            records.append(path)
            for name, seconds in found:
                saw(str(name), float(seconds or 0))
    accounts = list(uids)
    # One record a uid, a terabyte of holes when uids are large: only the records that are wanted are read.
    lastlog = root.parts("/var/log/lastlog", [uid * _LASTLOG.size for _, uid in accounts], _LASTLOG.size)
    if lastlog and any(lastlog):
        records.append("/var/log/lastlog")
        for (name, _), entry in zip(accounts, lastlog, strict=True):
            if len(entry) == _LASTLOG.size:
                saw(name, _LASTLOG.unpack(entry)[0])
    for path in ("/var/log/wtmp", "/var/log/wtmp.1"):
        data = root.read(path)
        if data:
            records.append(path)
            for record in _UTMP.iter_unpack(data[: len(data) - len(data) % _UTMP.size]):
                if record[0] == _USER_PROCESS:
                    saw(record[4].split(b"\0")[0].decode(errors="replace"), record[9])
    # Both lastlogs hold one row an account for ever; wtmp is rotated away.
    forever = any("lastlog" in path for path in records)
    return Logins(last=last, records=tuple(records), begin=None if forever else begin)


def _rows(data: bytes, query: str) -> list[tuple[object, float | None]]:
    """A copy in memory is asked, so that a file of a mounted host is neither locked nor changed.

    A journal in WAL mode has two bytes that say so; the copy has no WAL beside it and reads what was checkpointed.
    """
    copy = bytearray(data)
    copy[18:20] = b"\x01\x01"
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(bytes(copy))
        return database.execute(query).fetchall()
