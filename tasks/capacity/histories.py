"""The samples of a system as one grid, series by day: duplicates folded, what cannot be true left out and counted."""

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]

COLUMNS = ("day", "at", "kind", "resource", "unit", "used", "capacity")


@dataclass(frozen=True)
class Histories:
    """Series by day: `used` and `capacity` are (series, days) in the unit of the series, NaN where there is no sample.

    The last column is the day of the report. Series are in the order of (kind, resource).
    """

    kinds: npt.NDArray[np.object_]
    resources: npt.NDArray[np.object_]
    units: npt.NDArray[np.object_]
    days: Days
    used: Floats
    capacity: Floats
    future: int = 0
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.kinds)

    def of(self, rows: Mask | Integers) -> "Histories":
        """Those series alone."""
        return replace(
            self,
            kinds=self.kinds[rows],
            resources=self.resources[rows],
            units=self.units[rows],
            used=self.used[rows],
            capacity=self.capacity[rows],
        )

    @cached_property
    def first(self) -> Integers:
        """The column of each series' first sample."""
        found: Integers = np.argmax(np.isfinite(self.used), axis=1)
        return found

    @cached_property
    def last(self) -> Integers:
        """The column of each series' last sample."""
        found: Integers = self.used.shape[1] - 1 - np.argmax(np.isfinite(self.used[:, ::-1]), axis=1)
        return found

    @cached_property
    def last_capacity(self) -> Floats:
        """What each can hold now; NaN when nothing limits it, or when it was never told."""
        return last_known(self.capacity)

    @cached_property
    def last_used(self) -> Floats:
        """The newest sample of each."""
        return last_known(self.used)


def last_known(grid: Floats) -> Floats:
    """The newest finite value of each row; NaN when there is none. Shape (rows,)."""
    newest = grid.shape[1] - 1 - np.argmax(np.isfinite(grid[:, ::-1]), axis=1)
    found: Floats = np.take_along_axis(grid, newest[:, None], axis=1)[:, 0]
    return found


def histories(samples: pa.Table, until: date, days: int) -> Histories:
    """Fold samples (columns: COLUMNS) into a grid of the `days` days that end with `until`.

    Of several samples of a day the last by `at` counts, whatever the order of the rows. Samples from after `until`
    (a clock that went back) and without a usable number are left out and counted.
    """
    end = np.datetime64(until, "D")
    day = samples["day"].cast(pa.date32()).to_numpy().astype("datetime64[D]")
    used = _numbers(samples["used"])
    number, usable = (end - day).astype(np.int64), np.isfinite(used)
    kept = (number >= 0) & (number < days) & usable
    kinds, kind = _codes(samples["kind"])
    names, name = _codes(samples["resource"])
    pair = (kind * max(1, len(names)) + name)[kept]
    series, place = np.unique(pair, return_inverse=True)
    at = samples["at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()[kept]
    capacity = _numbers(samples["capacity"])[kept]
    unit_words, unit = _codes(samples["unit"])
    order = np.lexsort((capacity, used[kept], at))
    row, column = place[order], (days - 1 - number[kept])[order]
    grids = np.full((2, len(series), days), np.nan)
    grids[0, row, column] = used[kept][order]
    grids[1, row, column] = np.where(np.isfinite(capacity), capacity, np.nan)[order]
    units = np.zeros(len(series), dtype=np.int64)
    units[row] = unit[kept][order]
    return Histories(
        kinds=kinds[series // max(1, len(names))],
        resources=names[series % max(1, len(names))],
        units=unit_words[units] if len(unit_words) else np.empty(0, dtype=object),
        days=end - np.arange(days - 1, -1, -1),
        used=grids[0],
        capacity=grids[1],
        future=int(((number < 0) & usable).sum()),
        unusable=int((~usable).sum()),
    )


def before(values: Floats) -> tuple[Floats, Integers]:
    """For each day the newest value before it, and how many days ago that was; NaN and 1 where there is none."""
    columns = np.arange(values.shape[1])
    seen = np.maximum.accumulate(np.where(np.isfinite(values), columns, -1), axis=1)
    seen = np.concatenate([np.full((len(values), 1), -1), seen[:, :-1]], axis=1)
    value = np.where(seen >= 0, np.take_along_axis(values, np.maximum(seen, 0), axis=1), np.nan)
    return value, np.where(seen >= 0, columns - seen, 1)


def _numbers(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(), dtype=np.float64)


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.object_], Integers]:
    """The distinct words in their order, and which of them each row has; a missing word is the empty one."""
    encoded = pc.fill_null(column.cast(pa.string()), "").combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    words = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(words, kind="stable")
    rank = np.empty(len(words), dtype=np.int64)
    rank[order] = np.arange(len(words))
    return words[order], rank[encoded.indices.to_numpy().astype(np.int64)]
