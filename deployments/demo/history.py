"""A made year of capacity history, so that the demo has something to forecast: nothing of it was ever measured.

It is of a server `made-db1` and a database `archive` that do not exist. Each series shows one thing that a forecast
must not be misled by; the same every day but for its dates.
"""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.repository.samples_csv import COLUMNS

DAYS = 365
# Three weeks in which nothing was sampled.
GAP = range(200, 221)
_GIB, _MIB = 2.0**30, 2.0**20
Floats = NDArray[np.float64]


def write_history(path: Path, today: date) -> None:
    """The year before today as the CSV that capacity_import takes."""
    first = today - timedelta(days=DAYS)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for kind, resource, unit, used, capacity in made_series():
            for day in range(DAYS):
                if day not in GAP:
                    limit = "" if capacity is None else round(float(np.broadcast_to(capacity, DAYS)[day]))
                    writer.writerow([first + timedelta(days=day), kind, resource, unit, round(float(used[day])), limit])


def made_series() -> list[tuple[str, str, str, Floats, Floats | float | None]]:
    """Kind, resource, unit, used by day, capacity; what each shows stands beside it."""
    random = np.random.default_rng(20261121)
    day = np.arange(DAYS, dtype=np.float64)
    week, weekend = np.sin(2 * np.pi * day / 7), (day % 7 >= 5).astype(np.float64)

    def noise(size: float) -> Floats:
        return np.asarray(random.normal(0, size, DAYS), np.float64)

    def after(start: int, value: float) -> Floats:
        return np.where(day >= start, value, 0.0)

    orders = 20 * _GIB + 150 * _MIB * day + noise(40 * _MIB)  # a line
    events = 10 * _GIB + 40 * _MIB * day + 360 * _MIB * np.maximum(day - 240, 0) + noise(30 * _MIB)  # a new slope
    sessions = 5 * _GIB + noise(300 * _MIB)  # flat
    staging = np.where(day < 180, 60 * _MIB * day, 30 * _MIB * (day - 180)) + 50 * _MIB  # a reset: made again
    audit = 2 * _GIB + 12 * _GIB * np.exp(-(((day - 310) / 4) ** 2)) + noise(20 * _MIB)  # a burst that went again
    tables = {"orders": orders, "events": events, "sessions": sessions, "staging": staging, "audit": audit}
    disk = 200 * _GIB + 0.42 * _GIB * day + 3 * _GIB * week + noise(0.4 * _GIB)  # a season, full soon
    backups = 150 * _GIB + 0.1 * _GIB * day + after(120, 40 * _GIB) - after(250, 60 * _GIB) + noise(0.3 * _GIB)  # steps
    logs = 8 * _GIB + 0.7 * _GIB * (day % 30) + noise(0.1 * _GIB)  # emptied every month
    resized = 300 * _GIB + after(300, 200 * _GIB)
    registrations = (120 + 0.4 * day) * (1 - 0.5 * weekend) + noise(6)  # a weekly season on a line
    memory = 20 * _GIB + noise(0.8 * _GIB)
    return [
        ("filesystem", "made-db1:/var/lib/postgresql", "bytes", disk, 500 * _GIB),
        ("filesystem", "made-db1:/backups", "bytes", backups, resized),
        ("directory", "made-db1:/var/log", "bytes", logs, None),
        ("memory", "made-db1", "bytes", memory, 32 * _GIB),
        ("database", "archive", "bytes", np.sum(list(tables.values()), axis=0), 300 * _GIB),
        *(("table", f"archive.public.{name}", "bytes", used, None) for name, used in tables.items()),
        ("metric", "made registrations", "count", registrations, None),
    ]
