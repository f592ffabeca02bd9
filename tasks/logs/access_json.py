"""Access logs in JSON, an object a line: many lines at a time by Arrow's parser, odd ones one by one.

Both understand a line alike: what Arrow's parser does not take, or takes otherwise, is read one by one.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from tasks.logs.requests import Flags, Positions, Request, Requests
from tasks.logs.times import seconds_of

# The names under which usual JSON formats tell the same, the first that has a value counts.
_SOURCE = ("remote_addr", "client_ip", "clientip", "remote_ip", "client")
_USER = ("remote_user", "user")
_STATUS = ("status", "status_code", "response_status")
_REQUEST = ("request",)
_METHOD = ("request_method", "method", "verb")
_TARGET = ("request_uri", "uri", "path", "url")
_MOMENT = ("time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "time", "ts")
_NAMES = (*_SOURCE, *_USER, *_STATUS, *_REQUEST, *_METHOD, *_TARGET, *_MOMENT)
_TYPES = {int: pa.int64(), float: pa.float64()}
# Fewer lines cost less one by one than they do to Arrow's parser.
_FEW = 16
_GET = "GET"


def requests_of(lines: list[bytes], zone: str) -> tuple[list[Requests], list[bytes]]:
    """The requests of JSON lines, and those lines that are to be read one by one."""
    found, others = [], list[bytes]()
    for part, table in _tables(lines):
        requests, good = _requests(table, zone) if table is not None else (None, np.zeros(len(part), np.bool_))
        if requests is not None:
            found.append(requests.only(good))
        others += [part[row] for row in np.flatnonzero(~good).tolist()]
    return found, others


def from_json(line: bytes, zone: str) -> Request | None:
    """A line that is a JSON object; None for what is no request."""
    try:
        # What somebody sent need not be UTF-8, and nginx does not escape it.
        value: Any = json.loads(line.decode(errors="replace"))
        status = int(_first(value, _STATUS))
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None
    at = seconds_of(_first(value, _MOMENT), zone)
    request = _first(value, _REQUEST)
    if " " not in request:
        request = f"{_first(value, _METHOD) or _GET} {_first(value, _TARGET) or request}"
    if at is None or not 100 <= status <= 999 or request.endswith(" "):
        return None
    return Request(at, status, _first(value, _SOURCE), _first(value, _USER), request.encode(errors="replace"))


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(value[name]) for name in names if value.get(name) not in (None, "")), "")


def _tables(lines: list[bytes]) -> Iterator[tuple[list[bytes], Any]]:
    """Lines with their table, a row each; None for lines among which Arrow's parser takes one not or otherwise.

    It stops at the first of those, so that halves are tried: one odd line leaves the others as fast.
    """
    table = _table(lines) if len(lines) >= _FEW else None
    if table is not None or len(lines) < 2 * _FEW:
        yield lines, table
        return
    middle = len(lines) // 2
    yield from _tables(lines[:middle])
    yield from _tables(lines[middle:])


def _table(lines: list[bytes]) -> Any:
    data = b"\n".join(lines)
    # An object that ends on another line than it began, or two on one line, would shift the rows: each line begins and
    # ends as an object does, and there are as many objects as lines.
    if data.count(b"}\n{") != len(lines) - 1 or not data.startswith(b"{") or not data.endswith(b"}"):
        return None
    try:
        table = arrow_json.read_json(
            pa.BufferReader(data),
            # Logs are reviewed side by side already.
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=_schema(lines[0]), newlines_in_values=False, unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == len(lines) else None


def _schema(line: bytes) -> Any:
    """The types that the names have in that line; a name that it has not is expected with a text."""
    try:
        value = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        value = {}
    return pa.schema([(name, _TYPES.get(type(value.get(name)), pa.string())) for name in _NAMES])


def _requests(table: Any, zone: str) -> tuple[Requests, Flags]:
    """A table's requests, and which of them are requests."""
    seconds, has_time = _numbers(_texts(table, _MOMENT), lambda text: seconds_of(text, zone))
    status, has_status = _numbers(_texts(table, _STATUS), _status)
    requests = _texts(table, _REQUEST)
    is_whole = pc.match_substring(requests, " ")
    if not pc.all(is_whole).as_py():
        method, target = (pc.fill_null(_texts(table, names), "") for names in (_METHOD, _TARGET))
        method = pc.if_else(pc.equal(method, ""), _GET, method)
        target = pc.if_else(pc.equal(target, ""), requests, target)
        requests = pc.if_else(is_whole, requests, pc.binary_join_element_wise(method, target, " "))
    good = has_time & has_status & ~pc.ends_with(requests, " ").to_numpy(zero_copy_only=False)
    offsets, text = _buffers(requests)
    source, user = (_texts(table, names).cast(pa.binary()) for names in (_SOURCE, _USER))

    def who(row: int) -> tuple[str, str]:
        return source[row].as_py().decode(errors="replace"), user[row].as_py().decode(errors="replace")

    return Requests(text, offsets[:-1], offsets[1:], seconds, status, np.arange(len(status)), who), good


def _texts(table: Any, names: tuple[str, ...]) -> Any:
    """The first value that is there for each row, as a text; empty without any."""
    found = pa.array([""] * len(table))
    for name in reversed(names):
        column = table.column(name).combine_chunks()
        if column.null_count < len(column):
            column = pc.fill_null(column.cast(pa.string()), "")
            found = pc.if_else(pc.equal(column, ""), found, column)
    return found


def _numbers(texts: Any, number_of: Callable[[str], float | None]) -> tuple[Positions, Flags]:
    """The whole number of each text, asked once for equal ones, and which texts have one."""
    known = texts.cast(pa.binary()).dictionary_encode()
    numbers = [number_of(text.decode(errors="replace")) for text in known.dictionary.to_pylist()]
    which = known.indices.to_numpy()
    has_one = np.array([number is not None for number in numbers], np.bool_)[which]
    return np.array([int(number or 0) for number in numbers], np.int64)[which], has_one


def _status(text: str) -> int | None:
    try:
        return status if 100 <= (status := int(text)) <= 999 else None
    except ValueError:
        return None


def _buffers(texts: Any) -> tuple[Positions, bytes]:
    """Where each text begins and ends, and the bytes of all."""
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return places.astype(np.int64), data.to_pybytes() if data is not None else b""
