"""The report of a year of samples, as `benchmarks.engine` runs it."""

from datetime import timedelta
from typing import Any

from tasks.base.attachments import Chart, Table
from tasks.base.capacity import CapacityPolicy
from tasks.base.clock import utc_now
from tasks.base.system import RepositoryPolicy
from tasks.capacity.report import CapacityResult, report
from tasks.report.charts import draw
from tasks.report.publish import as_csv, as_html, as_markdown
from tasks.repository import samples
from tasks.repository.opening import open_store


def capacity_report(job: dict[str, Any]) -> str:
    """Everything that a report is made of, for each system; the artifacts in the UI are all that it lacks."""
    store, now = open_store(RepositoryPolicy(url=job["repository"])), utc_now()
    rows = pictures = 0
    for system in job["systems"]:
        found = samples.read(store, system, now.date() - timedelta(days=job["days"] - 1))
        made = report(system, found, CapacityPolicy(), now.date(), job["days"], 90, 20)
        result = CapacityResult(
            flow="capacity_report", system=system, run_id="bench", started_at=now, finished_at=utc_now(),
            checks=made.checks, rows=made.rows, things=made.things,
        )  # fmt: skip
        drawn = [(one, draw(one)) for one in made.attachments if isinstance(one, Chart)]
        tables = [(result.csv_header, result.rows)]
        tables += [(one.header, one.rows) for one in made.attachments if isinstance(one, Table)]
        written = [as_csv(header, list(lines)) for header, lines in tables]
        written += [as_html(result, made.attachments, drawn), as_markdown(result, made.attachments, drawn).encode()]
        rows, pictures = rows + found.num_rows, pictures + len(drawn)
    return f"{rows} rows of samples, {pictures} pictures"
