"""Publishing the result of a flow: CSV and JSON in the repository, artifacts in the UI, evidence in the journal."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.base.clock import iso
from tasks.base.errors import may_heal
from tasks.base.secrets import mask
from tasks.base.words import FlowResult, Verdict
from tasks.repository import journal
from tasks.repository.store import Store

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CHECKS = ("verdict", "target", "check", "message", "next")
_PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
_ARTIFACT_ROWS = 200


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
def publish(result: FlowResult, store: Store | None, procedures: Sequence[str] = ()) -> str:
    """Publish the result; return the prefix of the reports in the repository. Without one there are artifacts only.

    Safe to run again: report keys carry the run, artifacts are versions of one key, evidence is folded by run.
    """
    key = f"{result.flow}-{result.system}".replace("_", "-")
    rows = [{name: _cell(value) for name, value in row.items()} for row in result.csv_rows()]
    create_table_artifact(rows[:_ARTIFACT_ROWS], key=f"{key}-table", description=mask(result.headline))
    create_markdown_artifact(as_markdown(result), key=key, description=mask(result.headline))
    if store is None:
        return ""
    prefix = report_prefix(result)
    store.put(f"{prefix}/report.csv", as_csv(result.csv_header, rows))
    for name, (header, further) in result.further_csv().items():
        store.put(f"{prefix}/{name}.csv", as_csv(header, further))
    store.put(f"{prefix}/report.html", as_html(result))
    store.put(f"{prefix}/result.json", mask(result.model_dump_json(indent=2)).encode())
    journal.append(store, result.system, "evidence", [_evidence(result, procedures)], result.run_id)
    return prefix


def as_markdown(result: FlowResult) -> str:
    """The result as a person reads it: the verdict first, then what is not OK, then the rest."""
    lines = [
        f"# {result.verdict}: {result.flow} {result.system}",
        "",
        mask(result.headline),
        "",
        f"{iso(result.started_at)} to {iso(result.finished_at)}, run `{result.run_id}`",
    ]
    for header, rows in _tables(result):
        lines += ["", f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
        lines += [f"| {' | '.join(_md(row[name]) for name in header)} |" for row in rows[:_ARTIFACT_ROWS]]
        if len(rows) > _ARTIFACT_ROWS:
            lines += ["", f"{len(rows) - _ARTIFACT_ROWS} further rows are in report.html."]
    return "\n".join(lines)


def as_html(result: FlowResult) -> bytes:
    """The same as a page that needs nothing but itself."""
    page = _PAGES.get_template("report.html.j2").render(
        result=result,
        headline=mask(result.headline),
        started=iso(result.started_at),
        finished=iso(result.finished_at),
        tables=_tables(result),
    )
    return page.encode()


def _tables(result: FlowResult) -> list[tuple[Sequence[str], list[dict[str, object]]]]:
    """The checks, the worst first, and below them the rows of the CSV when they are not the checks themselves."""
    worst_first = sorted(result.checks, key=lambda check: list(Verdict).index(check.verdict), reverse=True)
    checks = [
        dict(
            zip(
                _CHECKS,
                map(_cell, (str(one.verdict), one.target, one.name, one.message, one.next_command)),
                strict=True,
            )
        )
        for one in worst_first
    ]
    if result.csv_header == FlowResult.csv_header:
        return [(_CHECKS, checks)]
    rows = [{name: _cell(value) for name, value in row.items()} for row in result.csv_rows()]
    return [(_CHECKS, checks), (result.csv_header, rows)]


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
