"""Made samples of known truth, for tests of forecasts and reports."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from tasks.capacity.histories import COLUMNS, Histories, histories

TODAY = date(2026, 11, 21)
GIB = 1024**3


def table(**series) -> pa.Table:
    """Samples by `kind__resource`: each a list of figures that ends today, or a dict with used, capacity and unit."""
    rows = []
    for name, given in series.items():
        kind, _, resource = name.partition("__")
        one = given if isinstance(given, dict) else {"used": given}
        used = list(one["used"])
        limits = np.broadcast_to(np.array(one.get("capacity", np.nan), dtype=float), (len(used),))
        for number, value in enumerate(used):
            if value is None or not np.isfinite(value):
                continue
            day = one.get("end", TODAY) - timedelta(days=len(used) - 1 - number)
            limit = float(limits[number]) if np.isfinite(limits[number]) else None
            at = datetime.combine(day, time(2), UTC)
            rows.append((day, at, kind, resource, one.get("unit", "bytes"), float(value), limit))
    return rows_table(rows)


def rows_table(rows) -> pa.Table:
    """Samples from tuples in the order of COLUMNS."""
    types = (pa.date32(), pa.timestamp("ms", tz="UTC"), *[pa.string()] * 3, pa.float64(), pa.float64())
    columns = list(zip(*rows, strict=True)) or [[]] * len(COLUMNS)
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(COLUMNS, columns, types, strict=True)})


def grid(days: int = 400, **series) -> Histories:
    """The same as a grid."""
    return histories(table(**series), TODAY, days)


def noise(days: int, sigma: float, seed: int = 1) -> np.ndarray:
    """Normal noise, the same for the same seed."""
    return np.random.default_rng(seed).normal(0, sigma, days)
