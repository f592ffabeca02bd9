"""The ledger month by month: how much was open and overdue at each month's end, what was opened and fixed in it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from tasks.base.attachments import Attachment, Line, LineChart, Table
from tasks.base.findings import Finding, Severity

_MONTHS = 13  # a year, and the month before it to compare with
_HEADER = (
    "month", "open", *(f"open_{severity.lower()}" for severity in Severity), "opened", "fixed", "mean_fix_days",
    "overdue_share",
)  # fmt: skip
Row = dict[str, Any]


class Standing(Protocol):
    """What a month's end looks at of each finding."""

    @property
    def finding(self) -> Finding:
        """As it was last seen."""

    @property
    def due_at(self) -> datetime | None:
        """None: without a deadline."""

    @property
    def fixed_at(self) -> datetime | None:
        """None: open."""


class Trend:
    """Filled while the ledger is folded, so that each month is told as it was then, and not as it looks from today.

    Months are of the system's time zone; the last of them is the one that still runs. Exceptions are not regarded:
    today's file does not say what it said then.
    """

    def __init__(self, zone: str, now: datetime) -> None:
        self._zone, self._now = ZoneInfo(zone), now
        self._first = _month(now.astimezone(self._zone), -_MONTHS + 1)
        self._end: datetime | None = None
        self._opened, self._fixed_after = 0, list[timedelta]()
        self._rows: list[tuple[datetime, Row]] = []

    def advance(self, at: datetime, findings: Iterable[Standing]) -> None:
        """Close the months that ended before that moment; nothing happened since the last call."""
        if self._end is None:
            self._end = _month(at.astimezone(self._zone), 1)
        while self._end <= at:
            self._close(self._end, findings)
            self._end = _month(self._end, 1)

    def happened(self, opened_count: int, fixed_after: Sequence[timedelta]) -> None:
        """Count what a scan opened, and how long what it closed had been open."""
        self._opened += opened_count
        self._fixed_after += fixed_after

    def finish(self, findings: Iterable[Standing]) -> None:
        """Close the months until now, the one that still runs too; without any scan there is none."""
        if self._end is not None:
            self.advance(self._now, findings)
            self._close(self._now, findings)

    def attachments(self) -> list[Attachment]:
        """The table, and from the second month on the pictures."""
        table = Table(
            name="trend",
            title="Trend by month (open at its end, the last month until now)",
            header=_HEADER,
            rows=tuple(row for _, row in self._rows),
        )
        if len(self._rows) < 2:
            return [table]
        of_severity = {severity: f"open_{severity.lower()}" for severity in Severity}
        shown = {name: column for name, column in of_severity.items() if any(row[column] for _, row in self._rows)}
        return [
            self._picture("open", "Open findings at each month's end, by severity", shown or {"open": "open"}),
            self._picture("moved", "Findings opened and fixed in each month", {"opened": "opened", "fixed": "fixed"}),
            table,
        ]

    def _picture(self, name: str, title: str, columns: dict[Any, str]) -> LineChart:
        moments = [at for at, _ in self._rows]
        lines = [
            Line(name=str(label).lower(), at=moments, values=[row[column] for _, row in self._rows])
            for label, column in columns.items()
        ]
        return LineChart(name=name, title=title, unit="count", lines=tuple(lines))

    def _close(self, end: datetime, findings: Iterable[Standing]) -> None:
        opened, fixed_after = self._opened, self._fixed_after
        self._opened, self._fixed_after = 0, []
        if end <= self._first:
            return
        # The end is the next month's first moment.
        month = _month((end - timedelta(microseconds=1)).astimezone(self._zone), 0)
        still_open = [one for one in findings if one.fixed_at is None]
        count = Counter(one.finding.severity for one in still_open)
        overdue = sum(one.due_at is not None and one.due_at < end for one in still_open)
        days = sum(fixed_after, timedelta()) / timedelta(days=1)
        row = {
            "month": f"{month:%Y-%m}",
            "open": len(still_open),
            **{f"open_{severity.lower()}": count[severity] for severity in Severity},
            "opened": opened,
            "fixed": len(fixed_after),
            "mean_fix_days": round(days / len(fixed_after), 2) if fixed_after else None,
            "overdue_share": round(overdue / len(still_open), 4) if still_open else None,
        }
        self._rows.append((month, row))


def _month(moment: datetime, months: int) -> datetime:
    """The first moment of the month that many months after the one of `moment`, in its zone."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
