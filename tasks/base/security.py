"""What is scanned, by which programs, and how soon a finding must be gone: the `security` part of a system file."""

import os
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tasks.base.errors import ConfigurationError
from tasks.base.findings import Severity
from tasks.base.secrets import Reference
from tasks.base.words import Frozen

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
_SHA256 = r"^[0-9a-f]{64}$"


def _absolute(value: str) -> str:
    if not value.startswith(("/", "$")):
        raise ValueError(f"'{value}' is no absolute path; write one, it may begin with a variable such as $HOME")
    return value


def place_of(path: str) -> Path:
    """An absolute path of the system file with the variables of the environment filled in.

    Raises ConfigurationError for a variable that is not set where the run executes.
    """
    found = Path(os.path.expandvars(path))
    if "$" in str(found) or not found.is_absolute():
        raise ConfigurationError(f"the path {path} of the system file has no meaning here: set its variable, absolute")
    return found


def _image(value: str) -> str:
    if value.startswith("-") or not re.fullmatch(r"[\w.\-/:@]+", value):
        raise ValueError(f"'{value}' is no image reference; write registry/name:tag")
    return value


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


class Image(Frozen):
    """A container image, by reference or as a tar file."""

    name: Slug = Field(description="How findings name it, whatever its tag or digest is today")
    reference: Annotated[str, AfterValidator(_image)] | None = Field(
        default=None, description="Registry reference, e.g. registry.example/app:latest"
    )
    archive: AbsolutePath | None = Field(default=None, description="Or the absolute path of a tar made by docker save")
    username: Reference | None = Field(default=None, description="Of the registry, when it asks for one")
    password: Reference | None = Field(default=None, description="Of the registry, when it asks for one")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.reference is None) == (self.archive is None):
            raise ValueError("write either 'reference' or 'archive'")
        return self


class Folder(Frozen):
    """A folder that a scanner reads."""

    name: Slug = Field(description="How findings name it, wherever it lies today")
    path: AbsolutePath = Field(description="Its absolute path where the run executes")


class ScannerProgram(Frozen):
    """Which program may be called a scanner."""

    path: AbsolutePath | None = Field(default=None, description="Absolute path; default: the first on PATH")
    versions: tuple[str, ...] = Field(default=(), description="Versions that may run; empty: any not known to be bad")
    sha256: tuple[Annotated[str, Field(pattern=_SHA256)], ...] = Field(
        default=(), description="SHA-256 of program files that may run; empty: any, which the report then says"
    )


class VulnerabilityDatabase(Frozen):
    """Where Trivy's knowledge comes from."""

    mirrors: tuple[str, ...] = Field(default=(), description="OCI repositories in order; empty: Trivy's own")
    folder: AbsolutePath | None = Field(
        default=None, description="A cache folder that holds db/trivy.db: nothing is fetched (offline)"
    )
    max_age_hours: float = Field(default=48, gt=0, description="An older one makes scans incomplete, in hours")


class Deadlines(Frozen):
    """How soon a finding must be gone after it was first seen, by severity, in hours."""

    critical_hours: float = Field(default=24, gt=0, description="Critical patches")
    high_hours: float = Field(default=7 * 24, gt=0, description="High-severity patches")
    medium_hours: float | None = Field(
        default=None, gt=0, description="Default: the end of the next maintenance window; without a window none"
    )
    low_hours: float | None = Field(default=None, gt=0, description="Default: no deadline")

    def hours(self, severity: Severity) -> float | None:
        """The hours for a severity; None for those without any."""
        return {
            Severity.CRITICAL: self.critical_hours,
            Severity.HIGH: self.high_hours,
            Severity.MEDIUM: self.medium_hours,
            Severity.LOW: self.low_hours,
        }.get(severity)


class Exemption(Frozen):
    """A finding that may stay for a while: one entry of `NAME.exceptions.yaml`. All given patterns must match."""

    rule: str = Field(min_length=1, description="Pattern (wildcards) of the vulnerability or rule, e.g. CVE-2024-1234")
    scope: str = Field(default="*", description="Pattern of the scope, e.g. 'trivy image app'")
    location: str = Field(default="*", description="Pattern of the place inside the scope")
    package: str = Field(default="*", description="Pattern of the package")
    reason: str = Field(min_length=10, description="Why it may stay")
    owner: str = Field(min_length=1, description="Who answers for it")
    ends: date = Field(description="The last day on which it holds, in the system's time zone")


class SecurityPolicy(Frozen):
    """What is scanned and what is demanded."""

    images: tuple[Image, ...] = Field(default=(), description="Scanned by trivy image")
    filesystems: tuple[Folder, ...] = Field(default=(), description="Source trees: trivy fs (lock files, secrets)")
    configurations: tuple[Folder, ...] = Field(default=(), description="Dockerfiles, manifests …: trivy config")
    hosts: tuple[Folder, ...] = Field(default=(), description="Root folders of hosts: trivy rootfs")
    repositories: tuple[Folder, ...] = Field(default=(), description="Git work trees, full history: gitleaks git")
    folders: tuple[Folder, ...] = Field(default=(), description="Folders without history: gitleaks dir")
    trivy: ScannerProgram = Field(default_factory=ScannerProgram)
    gitleaks: ScannerProgram = Field(default_factory=ScannerProgram)
    database: VulnerabilityDatabase = Field(default_factory=VulnerabilityDatabase)
    offline: bool = Field(default=False, description="Scanners ask nobody on the network")
    parallel: int = Field(default=2, ge=1, le=16, description="Scans at a time")
    timeout_seconds: float = Field(default=1800, gt=0, description="One scan may take so long, in seconds")
    secret_key: Reference | None = Field(
        default=None, description="Key under which found secrets are told apart (HMAC); gitleaks needs one"
    )
    deadlines: Deadlines = Field(default_factory=Deadlines)
    ignore_unfixed_deadlines: bool = Field(
        default=False, description="No deadline for a vulnerability that has no fixed version yet"
    )
    owners: dict[str, str] = Field(default_factory=dict, description="Who answers, by pattern of the scope")

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for field in ("images", "filesystems", "configurations", "hosts", "repositories", "folders"):
            names = [one.name for one in getattr(self, field)]
            if len(names) != len(set(names)):
                raise ValueError(f"a name stands twice in '{field}'; findings would be mixed")
        return self
