"""The demo's jobs as deployment runs, watched until they end: a backup is proven, a database maintained."""

import csv
import io
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
from prefect.client.schemas.objects import State

from deployments.demo.history import write_history
from tasks.base.clock import stopwatch, utc_now
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tasks.repository import catalog, journal, records
from tasks.repository.opening import open_store
from tasks.repository.store import Store

_MAINTENANCE = "database_maintenance/demo-weekly"
# What is run, with what is said otherwise than its schedule says; a chain waits for no other.
_Job = tuple[str, dict[str, Any]]
_CHAINS: tuple[tuple[_Job, ...], ...] = (
    (
        ("database_backup/demo-nightly", {}),
        ("backup_verification/demo-evening", {}),
        ("restore_test/demo-weekly", {}),
        (_MAINTENANCE, {"dry_run": True}),
        (_MAINTENANCE, {"dry_run": False, "minutes": 10}),
        (_MAINTENANCE, {"dry_run": True}),
    ),
    (
        # A made year, and today as it is.
        ("capacity_import/demo-on-demand", {"file": "{home}/history.csv"}),
        ("capacity_sample/demo-daily", {}),
        ("capacity_report/demo-weekly", {}),
        # The application's password: a new one, proven by a login.
        ("credential_rotation/demo-monthly", {"credentials": ["shop-app"]}),
        # A planted folder and this project's own flows.
        ("security_audit/demo-monthly", {}),
        ("security_check/demo-daily", {}),
        ("access_review/demo-monthly", {}),
    ),
)
_DEADLINE_SECONDS = 900  # of one job, beside others, on whatever machine
_POLL_SECONDS = 0.5


def run_jobs(url: str, home: Path) -> bool:
    """Run the chains beside each other; True when all jobs ended Completed and the newest backup is proven."""
    with get_client(sync_client=True) as client:
        write_history(home / "history.csv", utc_now().date())
        good = _watch([_chain(client, chain, home) for chain in _CHAINS])
    system = load_system("demo")
    store = open_store(system.repository)
    proven = _print_result(store, system.name, system.databases[0].name)
    _print_maintenance(store, system.name)
    _print_ledger(store, system.name)
    print(f"UI        {url}/deployments")
    print(f"reports   {home / 'objects' / 'nightshift' / 'demo' / system.name / 'reports'} (CSV)")
    print(f"receipts  . {home / 'environment'} && .venv/bin/nightshift receipts {system.name} --verify")
    print(f"logs      {home}", flush=True)
    return good and proven


def _watch(chains: list[Generator[str, None, bool]]) -> bool:
    """Go on with every chain until all have ended; True when all ended well."""
    doing, good = dict.fromkeys(range(len(chains)), ""), True
    while doing:
        for number in list(doing):
            try:
                doing[number] = next(chains[number])
            except StopIteration as ended:
                good = good and bool(ended.value)
                del doing[number]
        _say("   ".join(doing.values()))
        time.sleep(_POLL_SECONDS)
    return good


def _chain(client: SyncPrefectClient, jobs: Sequence[_Job], home: Path) -> Generator[str, None, bool]:
    """Run the jobs one after the other, up to one that does not end Completed; yields what it is doing."""
    for job, changed in jobs:
        if not (yield from _run(client, job, _here(changed, home))):
            return False
    return True


def _run(client: SyncPrefectClient, job: str, changed: dict[str, Any]) -> Generator[str, None, bool]:
    """Start one deployment run and yield how it goes; True when it ended Completed."""
    deployment = client.read_deployment_by_name(job)
    run = client.create_flow_run_from_deployment(deployment.id, parameters=changed)
    elapsed = stopwatch()
    while elapsed() < _DEADLINE_SECONDS:
        state = client.read_flow_run(run.id).state
        if state is not None and state.is_final():
            _say(f"{job:34} {elapsed():5.1f} s  {_in_words(state)}", end="\n")
            return bool(state.is_completed())
        # Nobody sees it elsewhere, and the server has other things to do.
        progress = _progress(client, run.id) if sys.stdout.isatty() else ""
        yield f"{job} {elapsed():.0f} s {state.name if state else ''}{progress}"
    _say(f"{job:34} did not end within {_DEADLINE_SECONDS} s", end="\n")
    return False


def _here(changed: dict[str, Any], home: Path) -> dict[str, Any]:
    """The parameters with the demo's folder in them."""
    return {key: value.format(home=home) if isinstance(value, str) else value for key, value in changed.items()}


def _in_words(state: State) -> str:
    return f"{state.name}{': ' + state.message if state.message else ''}"


def _progress(client: SyncPrefectClient, run_id: UUID) -> str:
    """The newest progress artifact of a run, as the UI shows it."""
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]), type=ArtifactFilterType(any_=["progress"])
        )
    )
    newest = max(artifacts, key=lambda artifact: str(artifact.updated), default=None)
    return f" {newest.data:3.0f} %" if newest is not None and isinstance(newest.data, int | float) else ""


def _say(line: str, end: str = "") -> None:
    """One line that is written over on a terminal; elsewhere only the last word counts."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end=end, flush=True)
    elif end:
        print(line, flush=True)


def _print_result(store: Store, system: str, database: str) -> bool:
    """The table at the end; True when the newest backup was proven by its restore."""
    backups = catalog.list_backups(store, system, database)
    receipts = records.list_receipts(store, system, database)
    if not backups or not receipts:
        return False
    manifest, receipt = catalog.load_manifest(store, backups[-1]), receipts[-1]
    rto = "-" if receipt.rto_seconds is None else f"{receipt.rto_seconds:.1f} s"
    print(f"\n{'backup':26} {'raw':>9} {'stored':>9} {'duration':>9} {'verdict':10} {'RTO':>7}")
    raw, stored = manifest.file("archive").raw_bytes / 1e6, manifest.stored_bytes / 1e6
    seconds = manifest.durations_seconds["total"]
    print(f"{manifest.backup_id:26} {raw:6.1f} MB {stored:6.1f} MB {seconds:7.1f} s {receipt.proven:10} {rto:>7}\n")
    return receipt.backup_id == manifest.backup_id and receipt.verdict is Verdict.OK


def _print_ledger(store: Store, system: str) -> None:
    """The ledger as the newest audit left it: what was planted, and nothing in this project's own folders."""
    reports = [item for item in store.list(f"{system}/reports/security_audit/") if item.key.endswith("/report.csv")]
    if not reports:
        return
    newest = max(reports, key=lambda item: item.modified_at).key
    rows = [row for row in csv.DictReader(io.StringIO(store.get(newest).decode())) if row["status"] != "fixed"]
    for row in (row for row in rows if not row["scope"].startswith("postgres ")):
        place = f"{row['package'] or row['location']} in {row['scope']}"
        print(f"{row['status']:8} {row['severity']:9} {row['rule']:22} due {row['due_at'] or 'never':20}  {place}")
    others = sum(row["scope"].startswith("postgres ") for row in rows)
    print(f"{others} findings of roles and rights of the database: {newest.rpartition('/')[0]}/report.html\n")


def _print_maintenance(store: Store, system: str) -> None:
    """What the newest run that maintained did, in numbers before and after, from its report."""
    runs = [row for row in journal.fold(store, system, journal.EVIDENCE, ("run_id",)) if not row["dry_run"]]
    run_id = next((row["run_id"] for row in reversed(runs) if row["flow"] == "database_maintenance"), "")
    reports = [item.key for item in store.list(f"{system}/reports/database_maintenance/")]
    for key in (key for key in reports if run_id and key.endswith(f"{run_id}/report.csv")):
        for row in csv.DictReader(io.StringIO(store.get(key).decode())):
            if " before" in row["message"]:
                print(f"{row['action']:10} {row['target']:26} {float(row['seconds']):6.2f} s  {row['message']}")
    print()
