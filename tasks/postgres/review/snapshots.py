"""Counters of a server at one moment, kept in the journal, so that periods can be compared later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import Field

from tasks.base.words import Frozen
from tasks.repository import journal
from tasks.repository.store import Store

# The node that is written to; a standby is called by its connection string, which holds no secret.
PRIMARY = "primary"


class Snapshot(Frozen):
    """Counters that only grow until they are reset, of many things (statements, indexes) of a database on one node."""

    database: str
    node: str = Field(description="Which server: primary, or the connection string of a standby, without secrets")
    run_id: str
    taken_at: datetime = Field(description="By the server's clock")
    reset_at: datetime | None = Field(description="Since when it counts, by the server's clock")
    epoch: str = Field(description="Another text than before: all counters began anew in between")
    evictions: int = Field(default=0, description="How often the server threw out what it had no room for")
    columns: tuple[str, ...] = Field(description="What the figures of `entries` are")
    entries: dict[str, tuple[float | None, ...]] = Field(
        description="The counters by the key of the thing that they count"
    )
    gauges: dict[str, float] = Field(default_factory=dict, description="What was true at the moment, by name")
    labels: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="What a person calls it, by key")


def keep(store: Store, system: str, stream: str, snapshot: Snapshot) -> None:
    """Write it down; the same run's later one takes its place."""
    journal.append(store, system, stream, [snapshot.model_dump(mode="json")], f"{snapshot.run_id}-{snapshot.database}")


def former(store: Store, system: str, stream: str, now: Snapshot, days: float) -> list[Snapshot]:
    """Those of the same database and node in the days before `now`, of other runs, by their time."""
    rows = journal.fold(store, system, stream, ("database", "node", "run_id"), now.taken_at - timedelta(days=days))
    found = [
        Snapshot.model_validate(row)
        for row in rows
        if (row["database"], row["node"]) == (now.database, now.node) and row["run_id"] != now.run_id
    ]
    return sorted((one for one in found if one.taken_at < now.taken_at), key=lambda one: one.taken_at)


def nearest(snapshots: Sequence[Snapshot], moment: datetime) -> int:
    """The place of the one that was taken nearest to that moment. Raises ValueError when there is none."""
    return min(range(len(snapshots)), key=lambda place: abs(snapshots[place].taken_at - moment))
