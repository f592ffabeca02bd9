"""The monthly audit: source trees, configuration, hosts, secrets in full history, roles and rights of databases."""

from typing import Any

from prefect import flow

from flows import _security, _support
from tasks.base.scratch import scratch_folder
from tasks.host import access as hosts
from tasks.platform import access as clusters
from tasks.postgres import audit as databases
from tasks.scanners.plan import gitleaks_scans, trivy_scans
from tasks.scanners.trivy import Kind

FLOW = "security_audit"


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def security_audit(system: str) -> Any:
    """Scan everything that the system file names, and audit its databases; tell what is new, due and overdue.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
    """
    with _support.begin(FLOW, system) as run, scratch_folder() as folder:
        policy = run.system.security
        scannings = [*trivy_scans(policy, folder, *Kind), *gitleaks_scans(policy), *databases.audits(run.system)]
        scannings += [*hosts.audits(run.system), *clusters.audits(run.system)]
        return _support.conclude(run, *_security.scan_all(run, scannings))
