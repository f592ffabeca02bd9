"""What a report holds beside its first table: further tables, pictures described by what they show, further files.

A room returns these; `tasks.report.publish` writes the tables as CSV, draws the pictures and stores the files.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, PlainValidator, model_validator

from tasks.base.words import Frozen


def _moments(value: Sequence[datetime] | npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    if not isinstance(value, np.ndarray):
        value = np.array([_naive(moment) for moment in value], dtype="datetime64[ms]")
    return value.astype("datetime64[ms]")


def _naive(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)


def _numbers(value: Any) -> npt.NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)


# One dimension each, of the same length; moments are UTC, a figure that is not known is NaN.
Moments = Annotated[npt.NDArray[np.datetime64], PlainValidator(_moments)]
Numbers = Annotated[npt.NDArray[np.float64], PlainValidator(_numbers)]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="Of the file, without its ending")]
Row = dict[str, Any]


class Table(Frozen):
    """A further table: NAME.csv with raw figures, and a section of the page with the same in units people read."""

    name: FileName
    title: str = Field(description="Heading of the section on the page")
    header: tuple[str, ...] = Field(description="The columns: a constant of the room, documented on the flow's page")
    rows: tuple[Row, ...]
    units: dict[str, str] = Field(
        default_factory=dict,
        description="Unit by column, for columns whose name does not end with it; '@COLUMN' takes it from that column",
    )


class Line(Frozen):
    """Figures over time. A NaN is a gap in the line."""

    name: str
    at: Moments
    values: Numbers
    dashed: bool = Field(default=False, description="For what was not measured: a fitted segment, a forecast")

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        _check(self.at, self.values)
        return self


class Band(Frozen):
    """Between which figures something is expected over time."""

    name: str
    at: Moments
    low: Numbers
    high: Numbers

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        _check(self.at, self.low, self.high)
        return self


class Limit(Frozen):
    """A horizontal line: a threshold, a capacity."""

    name: str
    value: float


class Event(Frozen):
    """A vertical mark: what happened when."""

    name: str
    at: datetime


class LineChart(Frozen):
    """A picture of one quantity over time."""

    name: FileName
    title: str
    unit: str = Field(description="As in tasks.base.units.human")
    lines: tuple[Line, ...]
    band: Band | None = None
    limits: tuple[Limit, ...] = ()
    events: tuple[Event, ...] = ()


class Bar(Frozen):
    """One bar with its label."""

    label: str
    value: float


class BarChart(Frozen):
    """A picture of few quantities beside each other, the first on top."""

    name: FileName
    title: str
    unit: str = Field(description="As in tasks.base.units.human")
    bars: tuple[Bar, ...]


class Document(Frozen):
    """A further JSON file of the report that another program reads; the page does not show it."""

    name: FileName
    ending: str = Field(pattern=r"^[a-z0-9]{1,8}$", description="Of the file, e.g. 'sarif'")
    content: dict[str, Any] = Field(description="What it holds, written as JSON")


Chart = LineChart | BarChart
Attachment = Table | LineChart | BarChart | Document


def joined(attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    """Tables of one name with their rows together, in the place of the first; pictures as they come."""
    # A table and its picture may have the same name.
    found: dict[tuple[bool, str], Attachment] = {}
    for one in attachments:
        key = (isinstance(one, Table), one.name)
        former = found.get(key)
        if isinstance(one, Table) and isinstance(former, Table):
            found[key] = former.model_copy(update={"rows": former.rows + one.rows})
        else:
            found[key] = one
    return tuple(found.values())


def _check(*columns: npt.NDArray[Any]) -> None:
    """Raises ValueError unless the columns have one dimension and one length."""
    if {column.shape for column in columns} != {(len(columns[0]),)}:
        raise ValueError(f"columns of the shapes {', '.join(str(column.shape) for column in columns)}")
