"""What a performance review looks for: the `performance` part of a system file, and what its parts hand over."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field

from tasks.base.attachments import Attachment, joined
from tasks.base.words import CheckResult, Frozen

Share = Annotated[float, Field(gt=0, le=1)]


class Part(Frozen):
    """What one look at a database (or at its logs, or its metrics) found; a review is several of them together."""

    checks: tuple[CheckResult, ...] = ()
    rows: tuple[dict[str, Any], ...] = Field(default=(), description="Of the report's first table, the statements")
    attachments: tuple[Attachment, ...] = Field(
        default=(), description="Further tables, those of one name become one file; pictures, each of its own name"
    )

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Several as one, in their order."""
        several = list(parts)
        return cls(
            checks=tuple(check for part in several for check in part.checks),
            rows=tuple(row for part in several for row in part.rows),
            attachments=joined([one for part in several for one in part.attachments]),
        )


class PerformancePolicy(Frozen):
    """What counts as slow, slower, unused or badly set."""

    top: int = Field(default=10, ge=1, le=100, description="Statements in each list")
    minimum_calls: int = Field(
        default=20, ge=1, description="A mean of fewer calls is neither ranked nor compared with the last period's"
    )
    slower_factor: float = Field(
        default=2.0, gt=1, description="A mean time that grew by this factor against the last period is WARN"
    )
    matters_seconds: float = Field(
        default=1.0,
        ge=0,
        description="A new or slower statement that cost less (more) than this is not told, in seconds",
    )
    cache_hit_share: Share = Field(default=0.95, description="A smaller share of blocks found in memory is WARN")
    forced_checkpoints_share: Share = Field(
        default=0.3, description="A larger share of checkpoints that max_wal_size forced is WARN"
    )
    connections_share: Share = Field(default=0.8, description="This share of max_connections in use is WARN")
    temp_bytes_per_day: int = Field(
        default=1024**3, ge=0, description="More temporary files in a day are INFO, in bytes"
    )
    lock_wait_seconds: float = Field(
        default=5.0, gt=0, description="A session that waited longer for a lock is WARN, in seconds"
    )
    partition_bytes: int = Field(
        default=50 * 1024**3, ge=1, description="Of a larger table it is told whether partitions would help, in bytes"
    )
    unused_days: int = Field(
        default=35, ge=1, description="An index counts as unused after so many days without a scan"
    )
    unused_index_bytes: int = Field(default=1024**2, ge=0, description="Smaller unused indexes are not told, in bytes")
    large_table_bytes: int = Field(
        default=64 * 1024**2, ge=0, description="Reading a table of this size whole is worth an index, in bytes"
    )
    selective_share: Share = Field(
        default=0.02, description="An index is advised for statements that need at most this share of the rows"
    )
    memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Memory of the database server, in bytes; default: this host's for a server on it",
    )
    solid_state: bool | None = Field(
        default=None, description="Whether the server's disks are solid state; default: not known"
    )
