"""The report of a performance review: one row per statement and list, what else was found as checks."""

from typing import Any, ClassVar

from tasks.base.words import FlowResult


class PerformanceResult(FlowResult):
    """The costliest statements of each database by several measures, with the period that they are of."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "list",
        "place",
        "query_id",
        "role",
        "calls",
        "total_ms",
        "time_share",
        "mean_ms",
        "before_calls",
        "before_mean_ms",
        "rows",
        "blocks_read",
        "blocks_hit",
        "temp_blocks",
        "io_ms",
        "period_start",
        "period_end",
        "statement",
    )
    rows: tuple[dict[str, Any], ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The lists one after another, each in its order."""
        return list(self.rows)
