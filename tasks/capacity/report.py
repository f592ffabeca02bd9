"""The capacity report of a system: its rows, its further tables, its pictures and what a person reads first."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import pyarrow as pa

from tasks.base.attachments import Attachment, Table
from tasks.base.capacity import CapacityPolicy
from tasks.base.words import CheckResult, FlowResult
from tasks.capacity import events, rows
from tasks.capacity.histories import histories
from tasks.capacity.outlook import Outlook, outlook
from tasks.capacity.pictures import picture
from tasks.capacity.rows import Row
from tasks.capacity.summary import checks, things_to_do

_BY_UNIT = "@unit"


@dataclass(frozen=True)
class Report:
    """What a report is made of: for the result, and what is attached to it."""

    checks: tuple[CheckResult, ...]
    rows: tuple[Row, ...]
    things: tuple[str, ...]
    attachments: tuple[Attachment, ...]


class CapacityResult(FlowResult):
    """One row per resource; docs/capacity_report.md explains every column."""

    csv_header: ClassVar[tuple[str, ...]] = rows.HEADER
    csv_units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("used", "capacity", "growth_per_day", "forecast_90", "threshold"), _BY_UNIT
    ) | dict.fromkeys(("days_to_threshold", "days_to_threshold_low", "days_to_threshold_high"), "days")
    # What tells whether a resource needs action; all the rest is in the CSV.
    page_columns: ClassVar[tuple[str, ...]] = (
        "kind", "resource", "used", "capacity", "used_pct", "growth_per_day", "forecast_90", "threshold",
        "days_to_threshold", "days_to_threshold_low", "days_to_threshold_high", "verdict", "covered_pct",
        "recommended_action",
    )  # fmt: skip
    rows: tuple[Row, ...] = ()
    things: tuple[str, ...] = ()

    def things_to_do(self) -> tuple[str, ...]:
        """At most three, the most urgent first."""
        return self.things

    def csv_rows(self) -> list[dict[str, object]]:
        """What needs action first, then by kind and name; figures raw, in each resource's unit."""
        return list(self.rows)


def report(
    system: str, samples: pa.Table, policy: CapacityPolicy, until: date, days: int, horizon_days: int, pictures: int
) -> Report:
    """The report from the samples of the days that end with `until`."""
    grid = histories(samples, until, days)
    found = outlook(grid, policy, horizon_days)
    drawn = enumerate(found.urgent_first[:pictures], 1)
    return Report(
        checks=tuple(checks(system, found, horizon_days)),
        rows=tuple(rows.resource_rows(system, found)),
        things=things_to_do(found),
        attachments=(
            *(picture(found, series, number, max(horizon_days, 2 * rows.HORIZONS[0])) for number, series in drawn),
            *_tables(system, found),
        ),
    )


def _tables(system: str, found: Outlook) -> tuple[Table, ...]:
    return (
        Table(
            name="growth",
            title="What grew in the last 30 days, by table",
            header=rows.ATTRIBUTION_HEADER,
            rows=tuple(rows.attribution_rows(system, found)),
            units=dict.fromkeys(("used", "growth", "growth_per_day"), _BY_UNIT),
        ),
        Table(
            name="events",
            title="What happened: steps, resets, gaps, new sizes",
            header=events.HEADER,
            rows=tuple(events.events(system, found.grid)),
            units=dict.fromkeys(("size", "before", "after"), _BY_UNIT),
        ),
        Table(
            name="accuracy",
            title="What was forecast 30 and 90 days before, and what came",
            header=rows.ACCURACY_HEADER,
            rows=tuple(rows.accuracy_rows(system, found)),
            units=dict.fromkeys(("forecast", "forecast_low", "forecast_high", "came", "error"), _BY_UNIT),
        ),
    )
