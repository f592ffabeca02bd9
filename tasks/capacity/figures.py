"""Figures as they stand in a CSV: raw, and without digits that nobody measured."""

import math

from tasks.capacity.histories import Floats

_DIGITS, _MOST_PLACES = 6, 15


def number(value: float | None) -> float | int | None:
    """A figure for a CSV, None for what is not known: whole from a thousand on, else six significant digits."""
    if value is None or not math.isfinite(value):
        return None
    if value == round(value) or abs(value) >= 1000:
        return round(value)
    return round(float(value), min(_DIGITS - 1 - math.floor(math.log10(abs(value))), _MOST_PLACES))


def numbers(values: Floats) -> list[float | int | None]:
    """Many of them, see `number`."""
    return [number(value) for value in values.tolist()]
