"""What is looked at every day: certificates, open doors, updates, alerts, logs, and what the ledger says today."""

from typing import Any

from prefect import flow

from flows import _security, _support
from tasks.host.updates import update_checks
from tasks.logs.log_review import log_reviews
from tasks.network.certificate_checks import certificate_checks
from tasks.network.firewall_checks import firewall_checks
from tasks.network.listening import listening_checks
from tasks.platform import pod_logs
from tasks.prometheus.alerts import alert_checks

FLOW = "security_check"


@flow(
    name=FLOW,
    flow_run_name=_support.run_name(FLOW),
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def security_check(system: str) -> Any:
    """Look at everything that the system file names for the day; tell what is wrong, new, due and overdue.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
    """
    with _support.begin(FLOW, system) as run:
        policy = run.system.security_check
        # Each is a task of its own: lines for who reads the run, findings for the ledger. One that fails fails alone.
        checks = [
            *certificate_checks(policy.certificates),
            *listening_checks(policy.listening),
            *firewall_checks(policy.firewall),
            *update_checks(policy.updates),
            *alert_checks(policy.alertmanager),
            *log_reviews(run.store, run.system, FLOW, run.run_id, pod_logs.fetcher(run.system)),
        ]
        return _support.conclude(run, *_security.scan_all(run, checks))
