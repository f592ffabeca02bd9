"""Access logs in JSON, an object a line."""

import json
from typing import Any

from tasks.logs.requests import Request
from tasks.logs.times import seconds_of

# The names under which usual JSON formats tell the same.
_SOURCE = ("remote_addr", "client_ip", "clientip", "remote_ip", "client")
_USER = ("remote_user", "user")
_STATUS = ("status", "status_code", "response_status")
_TARGET = ("request_uri", "uri", "path", "url")
_MOMENT = ("time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "time", "ts")


def from_json(line: bytes, zone: str) -> Request | None:
    """A line that is a JSON object; None for what is no request."""
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
    return Request(at, status, _first(value, _SOURCE), _first(value, _USER), request.encode(errors="replace"))


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(value[name]) for name in names if value.get(name) not in (None, "")), "")
