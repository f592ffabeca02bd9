"""Which scans a policy asks for, each with the scanner that makes it or the reason why there is none."""

from functools import partial
from pathlib import Path

from tasks.base.errors import MissingError, NightshiftError
from tasks.base.findings import Finding, Scan
from tasks.base.scans import Scanning, as_scan
from tasks.base.security import SecurityPolicy
from tasks.scanners import gitleaks, trivy
from tasks.scanners.database import Database, prepare_database
from tasks.scanners.programs import Scanner, find_scanner


def trivy_scans(policy: SecurityPolicy, folder: Path, *kinds: trivy.Kind) -> list[Scanning]:
    """The scans by Trivy; its database is prepared once for all of them, in `folder` when it has to be fetched."""
    jobs = trivy.jobs_of(policy, *kinds)
    if not jobs:
        return []
    program = _found("trivy", policy)
    if isinstance(program, NightshiftError):
        return [(job.scope, partial(_failed, job.scope, program)) for job in jobs]
    needed = any(job.needs_database for job in jobs)
    database = _database(program, policy, folder) if needed else MissingError("no scan of this run needs a database")
    return [(job.scope, partial(trivy.scan, job, program, policy, database)) for job in jobs]


def gitleaks_scans(policy: SecurityPolicy) -> list[Scanning]:
    """The scans by gitleaks: work trees with their history, then folders."""
    if not (policy.repositories or policy.folders):
        return []
    program = _found("gitleaks", policy)
    scans: list[Scanning] = []
    asked = (("git", gitleaks.scan_history, policy.repositories), ("dir", gitleaks.scan_folder, policy.folders))
    for command, look, folders in asked:
        for folder in folders:
            scope = gitleaks.scope_of(command, folder)
            if isinstance(program, NightshiftError):
                scans.append((scope, partial(_failed, scope, program)))
            else:
                scans.append((scope, partial(look, folder, program, policy)))
    return scans


def _found(name: str, policy: SecurityPolicy) -> Scanner | NightshiftError:
    try:
        return find_scanner(name, getattr(policy, name))
    except NightshiftError as error:
        return error


def _database(program: Scanner, policy: SecurityPolicy, folder: Path) -> Database | NightshiftError:
    try:
        return prepare_database(program, policy, folder)
    except NightshiftError as error:
        return error


def _failed(scope: str, error: NightshiftError) -> Scan:
    def look() -> list[Finding]:
        raise error

    return as_scan(scope, "", look)
