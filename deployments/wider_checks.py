"""What `nightshift check` reaches beside databases and repository: servers, clusters, hosts, programs, logs, stores.

The rooms' own looks are made, of which only whether they see everything is told: what is wrong with what they see is
the flows' matter. Nothing is changed, and nothing is kept.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from deployments.answers import Answer, Question, ask, result
from tasks.base import stopping
from tasks.base.clock import iso, new_run_id, utc_now
from tasks.base.credentials import Credential
from tasks.base.findings import Scan, ScanState
from tasks.base.samples import Sampled
from tasks.base.scans import Scanning
from tasks.base.security import Image, SecurityPolicy, place_of
from tasks.base.system import System
from tasks.base.systems import find_database
from tasks.base.words import CheckResult, Verdict
from tasks.credentials import ages, command
from tasks.credentials.places import place_of_password
from tasks.host import access as hosts
from tasks.host.updates import update_checks
from tasks.logs.reach import reach
from tasks.network.certificate_checks import certificate_checks
from tasks.network.firewall_checks import firewall_checks
from tasks.network.listening import listening_checks
from tasks.platform import access as clusters
from tasks.platform import pod_logs
from tasks.platform.cluster import sample_cluster
from tasks.platform.compose import sample_compose
from tasks.postgres import audit as databases
from tasks.postgres.restore.asking import command_path
from tasks.postgres.rotation.role import RoleJob
from tasks.prometheus.alerts import alert_checks
from tasks.prometheus.client import range_query
from tasks.repository.opening import open_store
from tasks.repository.rotations import Rotations
from tasks.scanners import gitleaks, trivy
from tasks.scanners.database import prepare_database
from tasks.scanners.limits import require_readable
from tasks.scanners.programs import find_scanner

# Most of the time is spent in waiting for servers that do not answer.
_AT_A_TIME = 8
# How the lines of looks are called.
_REACH = "reach"
# Target, name, question.
Asked = tuple[str, str, Question]


def check(system: System) -> list[CheckResult]:
    """One result per question, in the order of the system file's parts."""
    asked = [
        *_logs(system),
        *_servers(system),
        *_looks(system),
        *_scanners(system),
    ]
    if system.credentials.entries:
        asked.append((system.name, "credentials", partial(_credentials, system)))
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        try:
            return [one for found in threads.map(lambda one: ask(*one), asked) for one in found]
        except KeyboardInterrupt:
            stopping.stop_all()
            raise


def _logs(system: System) -> Iterator[Asked]:
    since = utc_now() - timedelta(hours=system.log_review.first_hours)
    if system.logs.postgres:
        yield system.name, "logs.postgres", partial(reach, system.logs.postgres, since)
    for source in system.log_review.sources:
        if source.pods:
            yield f"log {source.name}", "pods", partial(pod_logs.reach, system, source.pods)
        else:
            yield f"log {source.name}", "files", partial(reach, source.files, since)


def _servers(system: System) -> Iterator[Asked]:
    if system.prometheus.url:
        yield system.prometheus.url, "Prometheus", partial(_prometheus, system)
    for cluster in system.capacity.clusters:
        yield cluster.name, "cluster", partial(_sampled, partial(sample_cluster, cluster))
    for project in system.capacity.compose:
        yield project.name, "compose", partial(_sampled, partial(sample_compose, project))
    if system.restore_test.command:
        yield system.name, "restore_test.command", lambda: f"its program is {command_path(system.restore_test)}"


def _prometheus(system: System) -> Answer:
    now = utc_now()
    range_query(system.prometheus, "1", now - timedelta(minutes=1), now)
    return "answers queries"


def _sampled(take: Callable[[], Sampled]) -> Answer:
    """What a sampling could not see; its samples are not kept."""
    return [one for one in take().checks if one.verdict is not Verdict.OK] or "can be read"


def _looks(system: System) -> Iterator[Asked]:
    """The looks of security_check, of the audit of hosts and clusters, and of that of databases where it is scheduled:
    databases are named for their backups too, and only who has them audited is told which rights that takes.
    """
    policy = system.security_check
    found: list[Scanning] = [
        *certificate_checks(policy.certificates),
        *listening_checks(policy.listening),
        *firewall_checks(policy.firewall),
        *update_checks(policy.updates),
        *alert_checks(policy.alertmanager),
        *hosts.audits(system),
        *clusters.audits(system),
        *(databases.audits(system) if any(one.flow == "security_audit" for one in system.schedules) else ()),
    ]
    for scope, look in found:
        yield scope, _REACH, partial(_looked, scope, look)


def _looked(scope: str, look: Callable[[], Scan]) -> Answer:
    scan = look()
    if scan.state in (ScanState.CLEAN, ScanState.FINDINGS):
        return "everything could be seen"
    # The lines that say what could not be seen; its other lines say what was.
    told = [one for one in scan.checks if one.message and one.message in scan.reason]
    verdict = Verdict.FAIL if scan.state is ScanState.FAILED else Verdict.INCOMPLETE
    return told or result(scope, _REACH, verdict, scan.reason)


def _scanners(system: System) -> Iterator[Asked]:
    policy = system.security
    jobs, folders = trivy.jobs_of(policy, *trivy.Kind), [*policy.repositories, *policy.folders]
    if jobs:
        yield "trivy", "scanner", partial(_trivy, policy, with_database=any(job.needs_database for job in jobs))
    if folders:
        yield "gitleaks", "scanner", partial(_gitleaks, policy)
    for job in jobs:
        yield job.scope, "target", partial(_target, system, job)
    for command_of, look, named in (
        ("git", gitleaks.require_whole_history, policy.repositories),
        ("dir", require_readable, policy.folders),
    ):
        for folder in named:
            yield gitleaks.scope_of(command_of, folder), "target", partial(_folder, folder.path, look)


def _trivy(policy: SecurityPolicy, *, with_database: bool) -> Answer:
    found = find_scanner("trivy", policy.trivy)
    said = f"{found.name} is {found.path}"
    if not with_database:
        return said
    if policy.database.folder is None and not policy.offline:
        return f"{said}; its vulnerability database is fetched by each run, and was not now"
    return f"{said}; its vulnerability database is of {iso(prepare_database(found, policy, Path()).made_at)}"


def _gitleaks(policy: SecurityPolicy) -> Answer:
    found = find_scanner("gitleaks", policy.gitleaks)
    gitleaks.hmac_key(policy)
    return f"{found.name} is {found.path}; the key of security.secret_key can be read"


def _target(system: System, job: trivy.Job) -> Answer:
    if job.kind is trivy.Kind.ROOT:
        said = "whether all files of a host can be read is told by its scan alone, which walks through them"
        return result(job.scope, "target", Verdict.SKIP, said, f"nightshift run security_audit system={system.name}")
    trivy.require_target(job)
    if isinstance(job.target, Image) and job.target.reference:
        said = f"{job.target.reference} is asked of its registry by the scan alone"
        return result(job.scope, "target", Verdict.SKIP, said, f"nightshift run security_scan system={system.name}")
    return "can be read"


def _folder(path: str, look: Callable[[Path], None]) -> Answer:
    look(place_of(path))
    return "can be read"


def _credentials(system: System) -> Answer:
    entries = system.credentials.entries
    rotations = Rotations(open_store(system.repository), system.name, new_run_id())
    found: list[CheckResult] = []
    for scope, look in ages.scannings(entries, rotations, ZoneInfo(system.timezone)):
        found += ask(scope, _REACH, partial(_looked, scope, look))
    for one in entries:
        if one.is_rotated_here:
            found += ask(one.name, "rotation", partial(_rotation, system, one, rotations))
    return found


def _rotation(system: System, credential: Credential, rotations: Rotations) -> Answer:
    """The plan that the flow would show: all that would stand in the way is tried, and nothing is changed."""
    if credential.role is None:
        return command.plan(credential, rotations)
    database = find_database(system, credential.database or system.databases[0].name)
    place = place_of_password(system.name, credential)
    return list(RoleJob(database, credential, place, rotations).plan().checks)
