"""Scan images and source trees for known vulnerabilities, and keep the ledger of findings with their deadlines."""

from typing import Any

from prefect import flow

from flows import _security, _support
from tasks.base.scratch import scratch_folder
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
    """Scan the system's images and source trees with Trivy; tell what is new, due and overdue.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
    """
    with _support.begin(FLOW, system) as run, scratch_folder() as folder:
        scannings = trivy_scans(run.system.security, folder, Kind.IMAGE, Kind.FILESYSTEM)
        return _support.conclude(run, *_security.scan_all(run, scannings))
