"""Figures as a person reads them; files and the journal keep the raw ones."""

import math

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# How a column's name ends, and the unit that its figures are in.
_SUFFIXES = {
    "_bytes": "bytes",
    "_bytes_per_second": "bytes/s",
    "_ms": "ms",
    "_seconds": "seconds",
    "_days": "days",
    "_pct": "%",
    "_share": "share",
}


def human(value: float, unit: str = "") -> str:
    """The figure with its unit in three or four digits, e.g. human(3e9, 'bytes') is '2.8 GiB'; NaN is an empty text.

    Known units are bytes, bytes/s, ms, seconds, days, %, share and count; any other is written behind the figure.
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit in ("bytes", "bytes/s"):
        return _bytes(value) + ("/s" if unit == "bytes/s" else "")
    if unit == "ms":
        return f"{digits(value)} ms" if abs(value) < 1000 else _time(value / 1000)
    if unit == "seconds":
        return f"{digits(value * 1000)} ms" if 0 < abs(value) < 1 else _time(value)
    if unit == "share":
        value, unit = value * 100, "%"
    # A count of something speaks for itself; 'count per day' is 'per day'.
    return f"{digits(value)} {unit.removeprefix('count').lstrip()}".rstrip()


def digits(value: float) -> str:
    """Three digits of a small figure, all of those before the point of a large one, in groups: 0.0123, 4.5, 12,345."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.2g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def unit_of(column: str) -> str:
    """The unit that a column's name ends with, e.g. 'bytes' of size_bytes; empty for one that names none."""
    return next((unit for suffix, unit in _SUFFIXES.items() if column.endswith(suffix)), "")


def binary_scale(value: float) -> float:
    """The bytes of the unit in which that many bytes are said: 1 of B, 1024 of KiB, …"""
    scale = 1.0
    while abs(value) / scale >= 1023.5 and scale < 1024 ** (len(_BINARY) - 1):
        scale *= 1024
    return scale


def _bytes(value: float) -> str:
    scale = binary_scale(value)
    return f"{digits(value / scale)} {_BINARY[round(math.log(scale, 1024))]}"


def _time(seconds: float) -> str:
    for limit, size, name in ((2 * _MINUTE, 1.0, "s"), (2 * _HOUR, _MINUTE, "min"), (2 * _DAY, _HOUR, "h")):
        if abs(seconds) < limit:
            return f"{digits(seconds / size)} {name}"
    return f"{digits(seconds / _DAY)} days"
