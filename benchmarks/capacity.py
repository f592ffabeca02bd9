"""The whole capacity report of five systems, from the journal to CSV, page and pictures, in a process of its own."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.measure import Cost, engine
from tasks.base.clock import utc_now
from tasks.repository import samples
from tasks.repository.local import LocalStore

SYSTEMS, DAYS = 5, 400
_GIB = 1024.0**3
# Of a hundred resources these have a limit, and some of those come near it: each gets a picture.
_LIMITED_EACH = 10


def report(folder: Path, resources: int) -> Cost:
    """The reports of all systems, `resources` each, of 400 days: 1,000,000 rows are 500 resources."""
    place = folder / f"samples-{resources}"
    if not place.exists():
        for system in range(SYSTEMS):
            made = table(resources, system)
            samples.append(LocalStore(str(place)), f"system{system}", made, "bench")
    names = [f"system{system}" for system in range(SYSTEMS)]
    return engine({"work": "capacity_report", "repository": f"file://{place}", "systems": names, "days": DAYS})


def table(resources: int, seed: int) -> pa.Table:
    """Samples of resources that grow, jump, repeat a week or stay, one a day."""
    rng, today = np.random.default_rng(seed), utc_now().date()
    day = np.arange(DAYS, dtype=np.float64)
    courses = [day * 0.1, 8.0 * (day > 250), 3.0 * np.isin(day % 7, (5, 6)), 0 * day, day * 0.02]
    used = np.stack([20 + courses[one % len(courses)] + rng.normal(0, 0.1, DAYS) for one in range(resources)])
    limited = np.arange(resources) % _LIMITED_EACH == 0
    capacity = np.where(limited, 80.0 + 5 * (np.arange(resources) % 60), np.nan) * _GIB
    days = [today - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    kinds = ["filesystem" if limit else "table" for limit in limited]
    names = [f"shop.public.t{one}" for one in range(resources)]
    return pa.table(
        {
            "day": pa.array(days * resources, pa.date32()),
            "at": pa.array([datetime.combine(one, time(5), UTC) for one in days] * resources),
            "kind": np.repeat(kinds, DAYS),
            "resource": np.repeat(names, DAYS),
            "unit": np.repeat(["bytes"], DAYS * resources),
            "used": (used * _GIB).ravel(),
            "capacity": pa.array(np.repeat(capacity, DAYS), from_pandas=True),
        }
    ).cast(samples.SCHEMA)
