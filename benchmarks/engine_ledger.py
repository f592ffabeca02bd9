"""The ledger folded from its journal, and all that a report of it holds, as `benchmarks.engine` runs it."""

import json
from typing import Any

from benchmarks.ledger import SYSTEM
from tasks.base.attachments import Table
from tasks.base.clock import utc_now
from tasks.base.system import Database, RepositoryPolicy, System
from tasks.ledger.book import Book
from tasks.ledger.deadlines import due_time
from tasks.ledger.fold import fold
from tasks.ledger.report import LedgerResult, checks_of, rows_of
from tasks.ledger.sarif import sarif_of
from tasks.ledger.sections import sections
from tasks.ledger.trend import Trend
from tasks.report.publish import as_csv, as_html
from tasks.repository.opening import open_store


def ledger_fold(job: dict[str, Any]) -> str:
    """Read the journal and fold it, with the trend of a year."""
    return f"{len(_fold(job)[1])} findings"


def ledger_report(job: dict[str, Any]) -> str:
    """The fold, and the report with CSV, page, sections and SARIF; the pictures are those of any report."""
    system, entries, trend = _fold(job)
    now = utc_now()
    rows = rows_of(system, entries, (), now, None)
    result = LedgerResult(
        flow="security_scan", system=SYSTEM, run_id="bench", started_at=now, finished_at=now,
        checks=tuple(checks_of([], rows)), rows=tuple(rows),
    )  # fmt: skip
    still_open = [entry.finding for entry in entries if entry.fixed_at is None]
    tables = [*sections(rows, (), still_open, now.date()), *(one for one in trend if isinstance(one, Table))]
    written = [as_csv(result.csv_header, rows), as_html(result, tables)]
    written += [as_csv(one.header, one.rows) for one in tables]
    written += [json.dumps(sarif_of(result, [], None).content).encode()]
    return f"{len(entries)} findings, {len(rows)} rows, {sum(map(len, written)) / 1e6:.0f} MB of report"


def _fold(job: dict[str, Any]) -> tuple[System, list[Any], list[Any]]:
    policy = RepositoryPolicy(url=job["repository"])
    system = System(name=SYSTEM, databases=(Database(name="shop", dsn="service=shop"),), repository=policy)
    trend = Trend("UTC", utc_now())
    entries = list(fold(Book(open_store(policy), SYSTEM).scans(), due_time(system), trend).values())
    trend.finish(entries)
    return system, entries, trend.attachments()
