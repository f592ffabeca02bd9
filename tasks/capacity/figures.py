"""Figures as they stand in a CSV: raw, and without digits that nobody measured."""

from typing import Any

import numpy as np

from tasks.capacity.histories import Floats

_DIGITS = 6


def number(value: Any) -> float | int | None:
    """A figure for a CSV, None for what is not known: whole from a thousand on, else six significant digits."""
    return None if value is None else numbers(np.array([value], dtype=np.float64))[0]


def numbers(values: Floats) -> list[float | int | None]:
    """Many of them, see `number`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        places = np.clip(_DIGITS - 1 - np.floor(np.log10(np.abs(values))), 0, 15)
    known = np.isfinite(values).tolist()
    return [
        None if not there else round(value) if value == round(value) or decimals <= 2 else round(value, int(decimals))
        for value, decimals, there in zip(
            np.asarray(values).tolist(), np.nan_to_num(places).tolist(), known, strict=True
        )
    ]
