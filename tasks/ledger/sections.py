"""The ledger's page by what there is to do: overdue, open by due time, new, fixed, and the exceptions."""

from collections.abc import Sequence
from datetime import date

from tasks.base.attachments import Table
from tasks.base.findings import Finding
from tasks.base.security import Exemption
from tasks.ledger import exemptions
from tasks.ledger.models import Change, Status
from tasks.ledger.report import Row

_PLACE = ("severity", "rule", "package", "location", "scope")
_OVERDUE = (*_PLACE, "due_at", "overdue_hours", "first_seen", "owner")
_OPEN = (*_PLACE, "due_at", "first_seen", "owner")
_NEW = ("change", *_PLACE, "due_at", "owner")
_FIXED = (*_PLACE, "first_seen", "fixed_at", "fixed_version")
_TOLD = (Change.NEW, Change.REOPENED, Change.WORSE)
_EXCEPTIONS = ("state", "rule", "scope", "location", "package", "covered", "ends", "owner", "reason")


def sections(
    rows: Sequence[Row], exempted: Sequence[Exemption], open_findings: Sequence[Finding], today: date
) -> list[Table]:
    """The tables of the page; one without rows is left out."""
    new = [row for row in rows if row["change"] in _TOLD]
    tables = [
        _table("overdue", "Overdue", _OVERDUE, [row for row in rows if row["status"] == Status.OVERDUE]),
        _table("open", "Open, by due time", _OPEN, [row for row in rows if row["status"] == Status.OPEN]),
        _table("new", "New since the last report", _NEW, new),
        _table("fixed", "Fixed since the last report", _FIXED, [row for row in rows if row["change"] == Change.FIXED]),
        _table("exceptions", "Exceptions", _EXCEPTIONS, exemptions.rows(exempted, open_findings, today)),
    ]
    return [table for table in tables if table.rows]


def _table(name: str, title: str, header: tuple[str, ...], rows: Sequence[Row]) -> Table:
    shown = tuple({column: row[column] for column in header} for row in rows)
    return Table(name=name, title=f"{title} ({len(shown)})", header=header, rows=shown, units={"overdue_hours": "h"})
