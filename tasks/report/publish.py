"""Publishing the result of a flow: CSV and JSON in the repository, artifacts in the UI, evidence in the journal."""

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.base.attachments import Attachment, Chart, Document, Row, Table
from tasks.base.clock import iso
from tasks.base.errors import may_heal
from tasks.base.secrets import mask
from tasks.base.units import human, unit_of
from tasks.base.words import FlowResult, Verdict
from tasks.report.charts import draw
from tasks.repository import journal
from tasks.repository.store import Store

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CHECKS = ("verdict", "target", "check", "message", "next")
_PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
_ARTIFACT_ROWS, _ARTIFACT_PICTURES = 200, 20
_PAGE_ROWS = 500
# Each chart with its picture.
Pictures = Sequence[tuple[Chart, bytes]]


def guarded(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: text starting with = + - @ gets an apostrophe before it.

    Source of the rule: OWASP, "CSV Injection".
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def as_csv(header: Sequence[str], rows: Iterable[dict[str, object]]) -> bytes:
    """UTF-8 CSV with that header; every row must hold exactly its keys. Raises ValueError for a foreign key."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(header), lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: guarded(mask(value) if isinstance(value, str) else value) for key, value in row.items()})
    return text.getvalue().encode()


def report_prefix(result: FlowResult) -> str:
    """Where the reports of a run lie: SYSTEM/reports/FLOW/DATE-RUN."""
    return f"{result.system}/reports/{result.flow}/{result.started_at:%Y-%m-%d}-{result.run_id}"


def _store_may_heal(_task: Any, _run: Any, state: Any) -> bool:
    return may_heal(state.result(raise_on_failure=False))


@task(
    name="publish report",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[5, 20],
    retry_condition_fn=_store_may_heal,
)
def publish(
    result: FlowResult,
    store: Store | None,
    procedures: Sequence[str] = (),
    attachments: Sequence[Attachment] = (),
) -> str:
    """Publish the result; return the prefix of the reports in the repository. Without one there are artifacts only.

    A table of the attachments becomes NAME.csv beside report.csv, a chart NAME.png; both stand in the page and in the
    artifact. A document becomes a file of its own name. Safe to run again: report keys carry the run, artifacts are
    versions of one key, evidence folds by run.
    """
    key = f"{result.flow}-{result.system}".replace("_", "-")
    rows = [{name: _cell(value) for name, value in row.items()} for row in result.csv_rows()]
    pictures = [(one, draw(one)) for one in attachments if isinstance(one, Chart)]
    create_table_artifact(rows[:_ARTIFACT_ROWS], key=f"{key}-table", description=mask(result.headline))
    create_markdown_artifact(as_markdown(result, attachments, pictures), key=key, description=mask(result.headline))
    if store is None:
        return ""
    prefix = report_prefix(result)
    store.put(f"{prefix}/report.csv", as_csv(result.csv_header, rows))
    for table in (one for one in attachments if isinstance(one, Table)):
        store.put(f"{prefix}/{table.name}.csv", as_csv(table.header, table.rows))
    for chart, png in pictures:
        store.put(f"{prefix}/{chart.name}.png", png)
    for file in (one for one in attachments if isinstance(one, Document)):
        store.put(f"{prefix}/{file.name}.{file.ending}", json.dumps(_masked(file.content), indent=1).encode())
    store.put(f"{prefix}/report.html", as_html(result, attachments, pictures))
    store.put(f"{prefix}/result.json", mask(result.model_dump_json(indent=2)).encode())
    journal.append(store, result.system, journal.EVIDENCE, [_evidence(result, procedures)], result.run_id)
    return prefix


def as_markdown(result: FlowResult, attachments: Sequence[Attachment] = (), pictures: Pictures = ()) -> str:
    """The result as a person reads it: the verdict first, then what is not OK, the pictures, then the rest."""
    lines = [
        f"# {result.verdict}: {result.flow} {result.system}",
        "",
        mask(result.headline),
        "",
        f"{iso(result.started_at)} to {iso(result.finished_at)}, run `{result.run_id}`",
    ]
    checks, *others = _sections(result, attachments)
    if result.things_to_do():
        lines += ["", "## What to do first", ""]
        lines += [f"{place}. {_md(mask(thing))}" for place, thing in enumerate(result.things_to_do(), 1)]
    lines += _md_table(checks)
    for chart, png in pictures[:_ARTIFACT_PICTURES]:
        lines += ["", f"![{_md(mask(chart.title))}]({_inline(png)})"]
    if len(pictures) > _ARTIFACT_PICTURES:
        lines += ["", f"{len(pictures) - _ARTIFACT_PICTURES} further pictures are in report.html."]
    for section in others:
        lines += _md_table(section)
    return "\n".join(lines)


def as_html(result: FlowResult, attachments: Sequence[Attachment] = (), pictures: Pictures = ()) -> bytes:
    """The same as a page that needs nothing but itself."""
    checks, *others = _sections(result, attachments)
    page = _PAGES.get_template("report.html.j2").render(
        result=result,
        headline=mask(result.headline),
        started=iso(result.started_at),
        finished=iso(result.finished_at),
        things=[mask(thing) for thing in result.things_to_do()],
        pictures=[(mask(chart.title), _inline(png)) for chart, png in pictures],
        checks=checks,
        others=others,
        limit=_PAGE_ROWS,
        shown=_shown,
    )
    return page.encode()


@dataclass(frozen=True)
class _Section:
    """A table of the page, and the file that holds all of its rows."""

    title: str
    header: Sequence[str]
    rows: Sequence[Row]
    units: Mapping[str, str]
    file: str


def _sections(result: FlowResult, attachments: Sequence[Attachment]) -> list[_Section]:
    """The checks, the worst first; the rows of the CSV when they are not the checks themselves; further tables."""
    worst_first = sorted(result.checks, key=lambda check: list(Verdict).index(check.verdict), reverse=True)
    checks: list[Row] = [
        dict(zip(_CHECKS, (str(one.verdict), one.target, one.name, one.message, one.next_command), strict=True))
        for one in worst_first
    ]
    sections = [_Section("", _CHECKS, checks, {}, "result.json")]
    if result.csv_header != FlowResult.csv_header and result.rows_on_page:
        columns = result.page_columns or result.csv_header
        sections.append(_Section("", columns, result.csv_rows(), result.csv_units, "report.csv"))
    tables = [one for one in attachments if isinstance(one, Table)]
    return sections + [_Section(one.title, one.header, one.rows, one.units, f"{one.name}.csv") for one in tables]


def _md_table(section: _Section) -> list[str]:
    lines = ["", *([f"## {_md(section.title)}", ""] if section.title else [])]
    lines += [f"| {' | '.join(section.header)} |", "|---" * len(section.header) + "|"]
    lines += [
        f"| {' | '.join(_md(_shown(section, row, name)) for name in section.header)} |"
        for row in section.rows[:_ARTIFACT_ROWS]
    ]
    if len(section.rows) > _ARTIFACT_ROWS:
        lines += ["", f"{len(section.rows) - _ARTIFACT_ROWS} further rows are in {section.file}."]
    return lines


def _shown(section: _Section, row: Row, name: str) -> str:
    """A cell as a person reads it: a figure in its unit, a secret masked."""
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return mask("" if value is None else str(value))
    unit = section.units.get(name, unit_of(name))
    return human(value, str(row[unit[1:]]) if unit.startswith("@") else unit) if unit else mask(str(value))


def _masked(value: Any) -> Any:
    """A JSON value with every text in it masked: masking the whole could take a quotation mark with it."""
    if isinstance(value, dict):
        return {key: _masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return mask(value) if isinstance(value, str) else value


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _evidence(result: FlowResult, procedures: Sequence[str]) -> dict[str, object]:
    return {
        "run_id": result.run_id,
        "flow": result.flow,
        "at": iso(result.finished_at),
        "verdict": str(result.verdict),
        "dry_run": result.dry_run,
        "headline": mask(result.headline),
        "procedures": list(procedures),
    }


def _cell(value: object) -> object:
    return mask(value) if isinstance(value, str) else "" if value is None else value


def _md(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
