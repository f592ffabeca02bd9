"""The records of PostgreSQL's csvlog and jsonlog, one after another, however large and however broken the file is.

Source of the columns: PostgreSQL's documentation, "Error Reporting and Logging".
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast
from zoneinfo import ZoneInfo

from tasks.base.words import Frozen

_USER, _DATABASE, _FROM, _STATE, _MESSAGE, _LEAST_COLUMNS = 1, 2, 4, 12, 13, 23
# A record begins with its time and zone; a line inside a statement seldom does.
_BEGIN = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [^ ,]{1,9},(?:"|\w|,)')
# A longer record is not read: memory stays flat.
_LONGEST = 8 * 1024**2


class LogRecord(Frozen):
    """One message of a server's log."""

    at: datetime
    database: str
    message: str
    user: str = ""
    # Where the client is, without its port; the SQLSTATE is the same in every language.
    source: str = ""
    state: str = ""


class Broken(Frozen):
    """What could not be read, and where."""

    place: str
    reason: str


def read(path: Path, zone: str) -> Iterator[LogRecord | Broken]:
    """The records of one file in its order. Raises OSError when it cannot be opened.

    What is written at this moment, an unfinished record at the end of a file, is passed over.
    """
    number = 1
    try:
        for number, record in records(_lines(path), zone, str(path), as_json=".json" in path.suffixes):  # noqa: B007
            yield record
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield Broken(place=f"{path}:{number}", reason="the compressed file is cut or damaged behind this")


def records(
    lines: Iterator[tuple[int, str]], zone: str, place: str, *, as_json: bool
) -> Iterator[tuple[int, LogRecord | Broken]]:
    """The records in numbered lines, each with the number of its first line; a record of a csvlog may have several."""
    for first, text in lines if as_json else _csv_chunks(lines):
        yield first, (_from_json if as_json else _from_csv)(text, f"{place}:{first}", ZoneInfo(zone))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; one without its end is being written and is left out, one that is too long is cut."""
    with _opened(path) as file:
        number = 0
        while line := file.readline(_LONGEST):
            number += 1
            if line.endswith(b"\n"):
                yield number, line.decode(errors="replace")
            elif len(line) == _LONGEST:
                while (rest := file.readline(_LONGEST)) and not rest.endswith(b"\n"):
                    pass
                yield number, line.decode(errors="replace")


def _opened(path: Path) -> IO[bytes]:
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115 - read closes it
    return cast(IO[bytes], opened)


def _csv_chunks(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of each record together: quotes are even where it ends, and a broken one ends where the next begins."""
    first, held, quotes, size = 0, list[str](), 0, 0
    for number, line in lines:
        if held and quotes % 2 and not (_BEGIN.match(line) and _whole(line)):
            quotes, size = quotes + line.count('"'), size + len(line)
            if size <= _LONGEST:
                held.append(line)
        else:
            if held:
                yield first, "".join(held)
            first, held, quotes, size = number, [line], line.count('"'), len(line)
        if quotes % 2 == 0:
            yield first, "".join(held)
            held = []


def _whole(line: str) -> bool:
    """True for a line that reads as the beginning of a record: its session's process is a number."""
    columns = next(csv.reader([line]), [])
    return len(columns) > 4 and columns[3].isdigit()


def _from_csv(text: str, place: str, zone: ZoneInfo) -> LogRecord | Broken:
    try:
        columns = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, StopIteration):
        return Broken(place=place, reason="it is no CSV record")
    if len(columns) < _LEAST_COLUMNS:
        return Broken(place=place, reason=f"it has {len(columns)} columns, csvlog has {_LEAST_COLUMNS} or more")
    source = columns[_FROM].rpartition(":")[0] or columns[_FROM]
    return _record(
        columns[0], place, zone, columns[_DATABASE], columns[_MESSAGE], columns[_USER], source, columns[_STATE]
    )


def _from_json(text: str, place: str, zone: ZoneInfo) -> LogRecord | Broken:
    try:
        value: Any = json.loads(text)
        at = value["timestamp"]
        told = [str(value.get(name, "")) for name in ("dbname", "message", "user", "remote_host", "state_code")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Broken(place=place, reason="it is no jsonlog record")
    return _record(str(at), place, zone, *told)


def _record(
    at: str, place: str, zone: ZoneInfo, database: str, message: str, user: str, source: str, state: str
) -> LogRecord | Broken:
    moment = _moment(at, zone)
    if moment is None:
        return Broken(place=place, reason=f"its time is none of {zone.key}; see logs.timezone")
    return LogRecord(at=moment, database=database, message=message, user=user, source=source, state=state)


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    """A time such as '2026-11-21 02:00:00.123 CET'; None when the zone does not call itself so at that moment."""
    clock, _, name = text.rpartition(" ")
    try:
        wall = datetime.strptime(clock, "%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ007 - the zone comes below
    except ValueError:
        return None
    if name in ("UTC", "GMT"):
        return wall.replace(tzinfo=UTC)
    for fold in (0, 1):
        moment = wall.replace(tzinfo=zone, fold=fold)
        if moment.tzname() == name:
            return moment.astimezone(UTC)
    return None
