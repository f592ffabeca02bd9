"""History from elsewhere as CSV: the good rows are taken, the broken ones named with their line."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError
from tasks.base.samples import Dated, Sample
from tasks.base.systems import in_words

REQUIRED = ("at", "kind", "resource", "unit", "used")
COLUMNS = (*REQUIRED, "capacity")
# Of a host whose clock is ahead.
_AHEAD = timedelta(days=1)


class Broken(NamedTuple):
    """A row that was not taken: its line in the file, and why."""

    line: int
    reason: str


def read_csv(path: Path) -> tuple[list[Dated], list[Broken]]:
    """The samples in a file of COLUMNS (comma or semicolon, UTF-8), and its broken rows.

    Raises ConfigurationError when the file cannot be read or lacks a column; then nothing of it is meant for this.
    """
    good, broken = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, row in _rows(path, file.read()):
                try:
                    good.append(_dated(row))
                except ValidationError as error:
                    broken.append(Broken(line, in_words(error)))
                except ValueError as error:
                    broken.append(Broken(line, str(error)))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; correct its path, or its rights") from None
    except csv.Error as error:
        raise ConfigurationError(f"{path} is no CSV: {error}; look for a quote that is not closed") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no UTF-8; save it as CSV (UTF-8)") from None
    return good, broken


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The rows by their names, with the line that each ends in; empty ones are passed over."""
    separator = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restkey="")
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise ConfigurationError(
            f"{path} has no column {', '.join(missing)}; its first line must be: {','.join(COLUMNS)}"
        )
    for row in reader:
        if any(row.values()):
            yield reader.line_num, row


def _dated(row: dict[str, str | None]) -> Dated:
    """Raises ValueError, or ValidationError, with what is wrong."""
    if "" in row:
        raise ValueError("it has more fields than the first line")
    empty = [name for name in REQUIRED if not (row[name] or "").strip()]
    if empty:
        raise ValueError(f"{', '.join(empty)} is empty")
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    sample = Sample(
        kind=cells["kind"],
        resource=cells["resource"],
        unit=cells["unit"],
        used=_number("used", cells["used"]),
        capacity=_number("capacity", cells["capacity"]) if cells["capacity"] else None,
    )
    return Dated(at=_moment(cells["at"]), sample=sample)


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"at is '{text}', write a date such as 2026-11-21 or 2026-11-21T02:00:00Z") from None
    # Without a zone it is UTC, as everything here.
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at > utc_now() + _AHEAD:
        raise ValueError(f"at is '{text}', which has not come yet")
    return at


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} is '{text}', which is no number; write such as 1234.5") from None
