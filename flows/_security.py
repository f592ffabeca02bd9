"""What the flows that scan have in common: a bounded number of scans, the ledger, the result."""

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import _support
from tasks.base.attachments import Attachment, joined
from tasks.base.clock import utc_now
from tasks.base.findings import Scan, ScanState
from tasks.base.orphans import end_orphans
from tasks.base.run import run_context
from tasks.base.scans import Scanning
from tasks.base.systems import load_exemptions
from tasks.base.words import CheckResult, Verdict
from tasks.ledger.book import Book
from tasks.ledger.deadlines import due_time
from tasks.ledger.exemptions import checks as exemption_checks
from tasks.ledger.fold import fold
from tasks.ledger.report import LedgerResult, checks_of, rows_of
from tasks.ledger.sarif import sarif_of
from tasks.ledger.sections import sections
from tasks.ledger.trend import Trend
from tasks.report.former import former_report


@task(name="scan", task_run_name="{scope}", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def scan_scope(run: _support.Run, book: Book, scope: str, look: Callable[[], Scan]) -> Scan:  # noqa: ARG001 - its name
    """Make one scan and record it in the ledger; a second try is a second scan."""
    with run_context(run.run_id, _subject(run)):
        found = look()
    book.record(run.run_id, found)
    return found


def scan_all(run: _support.Run, scannings: Sequence[Scanning]) -> tuple[LedgerResult, list[Attachment]]:
    """All scans, a bounded number at a time, one that fails fails alone; and what they and all before them say.

    The report's further parts are the sections of its page, what the scans add to it, the trend over months, and SARIF.
    """
    exempted, book = load_exemptions(run.system.name), Book(run.store, run.system.name)
    end_orphans(_subject(run))
    scans = _support.bounded(
        scannings, run.system.security.parallel, lambda one: scan_scope.submit(run, book, *one), _failed
    )
    (former, damaged), now = former_report(run.store, run.system.name, run.flow), utc_now()
    trend = Trend(run.system.timezone, now)
    entries = fold(book.scans(), due_time(run.system), trend).values()
    trend.finish(entries)
    rows = rows_of(run.system, entries, exempted, now, former.finished_at if former else None)
    still_open = [entry.finding for entry in entries if entry.fixed_at is None]
    today = now.astimezone(ZoneInfo(run.system.timezone)).date()
    scan_checks = checks_of(scans, rows) if scans else [_nothing_to_scan(run)]
    result = LedgerResult(
        **run.facts(),
        checks=(*scan_checks, *damaged, *exemption_checks(exempted, still_open, today)),
        rows=tuple(rows),
    )
    file = sarif_of(result, scans, former.run_id if former else None)
    of_scans = joined(one for scan in scans for one in scan.attachments)
    return result, [*sections(rows, exempted, still_open, today), *of_scans, *trend.attachments(), file]


def _failed(scanning: Scanning, error: Exception) -> Scan:
    now, reason = utc_now(), _support.told(error)
    return Scan(scope=scanning[0], state=ScanState.FAILED, reason=reason, started_at=now, finished_at=now)


def _nothing_to_scan(run: _support.Run) -> CheckResult:
    message = "the system file names nothing that this flow scans; see 'security' in docs/configuration.md"
    return CheckResult(name="scan", target=run.system.name, verdict=Verdict.SKIP, message=message)


def _subject(run: _support.Run) -> str:
    return f"{run.system.name}/security"
