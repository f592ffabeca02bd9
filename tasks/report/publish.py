"""Publishing the result of a flow: CSV and JSON in the repository, artifacts in the UI, evidence in the journal."""

import csv
import io
from collections.abc import Iterable, Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.base.clock import iso
from tasks.base.secrets import mask
from tasks.base.words import FlowResult, Verdict
from tasks.repository import journal
from tasks.repository.store import Store

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
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


@task(name="publish report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=[5, 20], persist_result=False)
def publish(result: FlowResult, store: Store, procedures: Sequence[str] = ()) -> str:
    """Publish the result; return the prefix of the reports in the repository.

    Safe to run again: report keys carry the run, artifacts are versions of one key, evidence is folded by run.
    """
    key = f"{result.flow}-{result.system}".replace("_", "-")
    create_table_artifact(
        [{name: _cell(value) for name, value in row.items()} for row in result.csv_rows()[:_ARTIFACT_ROWS]],
        key=f"{key}-table",
        description=mask(result.headline),
    )
    create_markdown_artifact(as_markdown(result), key=key, description=mask(result.headline))
    prefix = report_prefix(result)
    store.put(f"{prefix}/report.csv", as_csv(result.csv_header, result.csv_rows()))
    store.put(f"{prefix}/result.json", mask(result.model_dump_json(indent=2)).encode())
    journal.append(store, result.system, "evidence", [_evidence(result, procedures)], result.run_id)
    return prefix


def as_markdown(result: FlowResult) -> str:
    """The result as a person reads it: the verdict first, then what is not OK, then the rest."""
    worst_first = sorted(result.checks, key=lambda check: list(Verdict).index(check.verdict), reverse=True)
    lines = [
        f"# {result.verdict}: {result.flow} {result.system}",
        "",
        f"{mask(result.headline)}",
        "",
        f"{iso(result.started_at)} to {iso(result.finished_at)}, run `{result.run_id}`",
        "",
        "| verdict | target | check | message | next |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {check.verdict} | {' | '.join(map(_md, (check.target, check.name, check.message, check.next_command)))} |"
        for check in worst_first[:_ARTIFACT_ROWS]
    ]
    if len(worst_first) > _ARTIFACT_ROWS:
        lines.append(f"\n{len(worst_first) - _ARTIFACT_ROWS} further checks are in report.csv.")
    return "\n".join(lines)


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
    return mask(value) if isinstance(value, str) else value


def _md(text: str) -> str:
    return mask(text).replace("|", "\\|").replace("\n", " ")
