"""The report of a maintenance run: the plan in its order, and how each step ended."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field
from pydantic_core import to_jsonable_python

from tasks.base import attachments
from tasks.base.attachments import Attachment
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.postgres.inspect.bloat import Bloat, unknown
from tasks.postgres.inspect.relations import Index, Table
from tasks.postgres.maintain.history import Rates
from tasks.postgres.maintain.plan import Step

Row = dict[str, Any]
_PLAN, _DONE = "plan", "maintenance"
_SMALL = unknown("it is smaller than what is measured")


class MaintenanceResult(FlowResult):
    """One row per step: what it was for, how long it was expected to take, and how it ended."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "place",
        "action",
        "target",
        "size_bytes",
        "why",
        "method",
        "expected_seconds",
        "expected_from",
        "verdict",
        "seconds",
        "message",
    )
    rows: tuple[Row, ...] = ()
    # One row per table and index as the inspection found them; in files of their own, they may be many.
    tables: tuple[Row, ...] = Field(default=(), exclude=True)
    indexes: tuple[Row, ...] = Field(default=(), exclude=True)

    @property
    def headline(self) -> str:
        """What was done, or would be, when nothing is wrong; else what is."""
        told = [f"{check.target}: {check.message}" for check in self.checks if check.name in (_PLAN, _DONE)]
        if self.verdict not in (Verdict.OK, Verdict.INFO) or not told:
            return super().headline
        return f"{'plan only, nothing was changed; ' if self.dry_run else ''}{'; '.join(told)}"

    def csv_rows(self) -> list[dict[str, object]]:
        """The plan in its order, with how each step ended; without that when it is only a plan."""
        return list(self.rows)

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """What the plan was made from: every table and index with its figures and how bloat is known, largest first."""
        found: tuple[tuple[str, type[Table | Index], tuple[Row, ...]], ...] = (
            ("tables", Table, self.tables),
            ("indexes", Index, self.indexes),
        )
        return tuple(
            attachments.Table(
                name=name,
                title=f"The {name} before",
                header=("database", *model.model_fields, *Bloat.model_fields),
                rows=tuple(sorted(rows, key=lambda row: -int(row["size_bytes"]))),
            )
            for name, model, rows in found
        )


def figures_of(database: str, relations: Sequence[Table | Index], bloat: Mapping[int, Bloat]) -> list[Row]:
    """One row per table or index: what the catalogs say, and the share that is air, with how that is known."""
    known, small = {oid: one.model_dump() for oid, one in bloat.items()}, _SMALL.model_dump()
    return [
        {"database": database, **figures, **known.get(figures["oid"], small)}
        for figures in to_jsonable_python(relations)
    ]


def rows_of(
    database: str, steps: Sequence[Step], methods: Sequence[str], rates: Rates, done: Sequence[Row]
) -> list[Row]:
    """What earlier tries of this run did, then the plan, each with its outcome as far as there is one.

    `rates` are those that the plan was made with, `done` the outcomes of all tries in their order.
    """
    outcomes = {row["key"]: row for row in done}
    rows = []
    for step, method in zip(steps, methods, strict=True):
        expected, ended = rates.expect(step), outcomes.pop(step.key, {})
        rows.append(
            {
                "action": str(step.action),
                "target": step.target,
                "size_bytes": step.size_bytes,
                "why": step.why,
                "method": method,
                "expected_seconds": round(expected.seconds, 1),
                "expected_from": expected.source,
                "verdict": ended.get("verdict", ""),
                "seconds": ended.get("seconds", ""),
                "message": ended.get("message", step.refused),
            }
        )
    kept = ("action", "target", "size_bytes", "why", "verdict", "seconds", "message")
    earlier = [{name: row[name] for name in kept} for row in outcomes.values()]
    blank = dict.fromkeys(MaintenanceResult.csv_header, "")
    return [{**blank, "database": database, "place": place, **row} for place, row in enumerate([*earlier, *rows], 1)]


def summary(database: str, rows: Sequence[Row], *, dry_run: bool) -> list[CheckResult]:
    """One check for what went well, and one for each step that did not."""
    if dry_run:
        seconds = sum(float(row["expected_seconds"]) for row in rows)
        message = f"{len(rows)} steps, about {seconds:.0f} s" if rows else "nothing needs to be done"
        return [CheckResult(name=_PLAN, target=database, verdict=Verdict.OK, message=message)]
    bad = [row for row in rows if row["verdict"] not in (Verdict.OK, Verdict.INFO)]
    message = f"{len(rows) - len(bad)} of {len(rows)} steps done" if rows else "nothing needed to be done"
    return [
        CheckResult(name=_DONE, target=database, verdict=Verdict.OK, message=message),
        *(
            CheckResult(
                name=row["action"],
                target=f"{database} {row['target']}",
                verdict=Verdict(row["verdict"] or Verdict.INCOMPLETE),
                message=row["message"] or "was planned, and nothing is known of it",
            )
            for row in bad
        ),
    ]
