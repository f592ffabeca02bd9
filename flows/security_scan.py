"""Scan images and source trees for known vulnerabilities, review logs, and keep the ledger of findings."""

from typing import Any

from prefect import flow

from flows import _security, _support
from tasks.base.scratch import scratch_folder
from tasks.logs.log_review import log_reviews
from tasks.platform import pod_logs
from tasks.scanners.plan import trivy_scans
from tasks.scanners.trivy import Kind

FLOW = "security_scan"


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def security_scan(system: str) -> Any:
    """Scan the system's images and source trees with Trivy, review its logs; tell what is new, due and overdue.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
    """
    with _support.begin(FLOW, system) as run, scratch_folder() as folder:
        scannings = [
            *trivy_scans(run.system.security, folder, Kind.IMAGE, Kind.FILESYSTEM),
            *log_reviews(run.store, run.system, FLOW, run.run_id, pod_logs.fetcher(run.system)),
        ]
        return _support.conclude(run, *_security.scan_all(run, scannings))
