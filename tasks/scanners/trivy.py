"""Scans by Trivy: image, fs, config, rootfs. Its report decides how a scan ended, never its exit code."""

import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from tasks.base.errors import NightshiftError, ToolFailedError
from tasks.base.findings import Finding, Scan
from tasks.base.programs import Program
from tasks.base.scans import PartlySeenError, as_scan
from tasks.base.scratch import scratch_folder
from tasks.base.secrets import resolve
from tasks.base.security import Folder, Image, SecurityPolicy, place_of
from tasks.base.words import Frozen
from tasks.scanners import trivy_report
from tasks.scanners.database import Database
from tasks.scanners.limits import require_readable, run_scanner
from tasks.scanners.programs import Scanner, without_settings
from tasks.scanners.silencers import silenced_places

# Exit code 1 may be a finding or a fatal error: the report tells. Trivy's own limit would end it without a word.
_ALWAYS = ("--format", "json", "--quiet", "--skip-version-check", "--timeout", "87600h")
_MEANINGLESS_CODES = (0, 1)
# At the top of whatever it scans, in silence: seen with Trivy 0.76.
_PASSED_OVER = ("proc", "sys", "dev")
# Trivy passes over secrets in tests, examples, documents and vendored code; in a source tree they are as readable.
_RULES_FILE = "secret.yaml"
_EVERYWHERE = "disable-allow-rules: [tests, examples, vendor, markdown, locale-dir]\n"


class Kind(StrEnum):
    """What Trivy is asked to read."""

    IMAGE = "image"
    FILESYSTEM = "fs"
    CONFIGURATION = "config"
    ROOT = "rootfs"


_LOOKS_FOR = {
    Kind.IMAGE: "vuln,secret",
    Kind.FILESYSTEM: "vuln,secret",
    Kind.ROOT: "vuln,secret",
}


class Job(Frozen):
    """One scan to make."""

    kind: Kind
    target: Image | Folder

    @property
    def scope(self) -> str:
        """What findings name: without tag, digest or path, which change while the thing stays the same."""
        return f"trivy {self.kind} {self.target.name}"

    @property
    def needs_database(self) -> bool:
        """Configuration is judged by rules that Trivy carries in itself."""
        return self.kind is not Kind.CONFIGURATION


def jobs_of(policy: SecurityPolicy, *kinds: Kind) -> list[Job]:
    """The scans of those kinds that a policy asks for."""
    targets: dict[Kind, tuple[Image | Folder, ...]] = {
        Kind.IMAGE: policy.images,
        Kind.FILESYSTEM: policy.filesystems,
        Kind.CONFIGURATION: policy.configurations,
        Kind.ROOT: policy.hosts,
    }
    return [Job(kind=kind, target=target) for kind in kinds for target in targets[kind]]


def scan(job: Job, trivy: Scanner, policy: SecurityPolicy, database: Database | NightshiftError) -> Scan:
    """Make one scan; `database` may be the reason why there is none, which fails only the scans that need one."""
    made_at: datetime | None = database.made_at if isinstance(database, Database) and job.needs_database else None
    return as_scan(job.scope, trivy.name, lambda: _look(job, trivy, policy, database), made_at)


def require_target(job: Job) -> None:
    """Raise ToolFailedError or IncompleteError for what is not there, or cannot be read; a registry is not asked."""
    if isinstance(job.target, Folder):
        # Of a host they are no files, and change while they are read.
        require_readable(place_of(job.target.path), without=_PASSED_OVER if job.kind is Kind.ROOT else ())
    elif job.target.archive and not place_of(job.target.archive).is_file():
        raise ToolFailedError(f"{job.target.archive} is not there; save the image anew, or correct security.images")


def _look(job: Job, trivy: Scanner, policy: SecurityPolicy, database: Database | NightshiftError) -> list[Finding]:
    if job.needs_database and not isinstance(database, Database):
        raise database
    require_target(job)
    with scratch_folder() as folder:
        if isinstance(database, Database):
            (folder / "cache").mkdir()
            (folder / "cache" / "db").symlink_to(database.folder / "db")
        (folder / _RULES_FILE).write_text(_EVERYWHERE)
        report = folder / "report.json"
        finished = run_scanner(
            Program(
                arguments=(trivy.path, *arguments(job, policy, folder)),
                environment=_environment(job),
                ok_codes=_MEANINGLESS_CODES,
                deadline_seconds=policy.timeout_seconds,
                # A .trivyignore or trivy.yaml of the working directory would silence findings.
                cwd=folder,
            )
        )
        found = _read(report, job, finished.stderr_tail)
    if job.kind is Kind.CONFIGURATION and isinstance(job.target, Folder):
        found += silenced_places(place_of(job.target.path), job.scope)
    if job.kind is not Kind.ROOT and isinstance(job.target, Folder) and (said := _not_seen(job, job.target, policy)):
        raise PartlySeenError(said, found)
    return found


def _not_seen(job: Job, tree: Folder, policy: SecurityPolicy) -> str:
    """What Trivy passed over of a tree, with what to do; empty when that is named as a tree of its own."""
    named = {one.target.path.rstrip("/") for one in jobs_of(policy, job.kind) if isinstance(one.target, Folder)}
    left = [path for name in _PASSED_OVER if (path := f"{tree.path.rstrip('/')}/{name}") not in named]
    seen = [path for path in left if any(files for _, _, files in os.walk(place_of(path)))]
    return (
        f"Trivy passes over {', '.join(seen)}, as it does in a host's root: name each of them besides" if seen else ""
    )


def _read(report: Path, job: Job, said: str) -> list[Finding]:
    try:
        return trivy_report.read(report, job.scope, str(job.kind), said)
    except ToolFailedError as error:
        if isinstance(job.target, Folder) or job.target.archive:
            raise
        raise ToolFailedError(
            f"{error}; try 'docker pull {job.target.reference}', and look at reference, username and password of "
            f"'{job.target.name}' in security.images"
        ) from None


def arguments(job: Job, policy: SecurityPolicy, folder: Path) -> tuple[str, ...]:
    """What follows the program's path; everything that Trivy writes lies in `folder`."""
    report = ("--output", str(folder / "report.json"), "--cache-dir", str(folder / "cache"))
    cache = ("--cache-backend", "memory") if job.kind is not Kind.CONFIGURATION else ()
    looks_for = ("--scanners", _LOOKS_FOR[job.kind], "--skip-db-update") if job.needs_database else ()
    offline = ("--offline-scan", "--skip-java-db-update") if policy.offline and job.needs_database else ()
    checks = ("--skip-check-update",) if policy.offline else ()
    secrets = ("--secret-config", str(folder / _RULES_FILE)) if job.kind is Kind.FILESYSTEM else ()
    if isinstance(job.target, Folder):
        target: tuple[str, ...] = ("--", str(place_of(job.target.path)))
    elif job.target.archive:
        target = ("--input", str(place_of(job.target.archive)))
    else:
        target = ("--", str(job.target.reference))
    modules = ("--module-dir", str(folder / "modules"))
    return (str(job.kind), *_ALWAYS, *report, *cache, *modules, *looks_for, *secrets, *offline, *checks, *target)


def _environment(job: Job) -> dict[str, str | None]:
    """Without settings of the host, with the registry's credentials."""
    environment = without_settings()
    if isinstance(job.target, Image) and job.target.username and job.target.password:
        environment["TRIVY_USERNAME"] = resolve(job.target.username)
        environment["TRIVY_PASSWORD"] = resolve(job.target.password)
    return environment
