"""Which logs are reviewed, and what in them is told: the `log_review` part of a system file."""

import re
import shlex
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tasks.base.security import AbsolutePath, Slug
from tasks.base.words import Frozen, Zone


class LogKind(StrEnum):
    """What writes a log."""

    ACCESS = "access"
    POSTGRES = "postgres"
    SSHD = "sshd"
    APPLICATION = "application"


class Container(StrEnum):
    """What a container's runtime puts around each line."""

    NONE = "none"
    DOCKER = "docker"
    CRI = "cri"
    TEXT = "text"


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"'{value}' is no regular expression: {error}") from None
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]
Share = Annotated[float, Field(gt=0, le=1)]


class PodLogs(Frozen):
    """Pods whose logs are asked of their cluster's API, where its hosts' files cannot be read."""

    cluster: str = Field(description="One of capacity.clusters, by its name")
    namespace: str = Field(min_length=1, description="Namespace of the pods")
    selector: str = Field(default="", description="Label selector, e.g. app=web; default: all pods of the namespace")
    limit_bytes: int = Field(
        default=64 * 1024**2,
        ge=1024,
        description="So much is read of one container at a time, in bytes; one that wrote more is INCOMPLETE",
    )

    @property
    def place(self) -> str:
        """As a person names them."""
        chosen = f" with {self.selector}" if self.selector else ""
        return f"pods{chosen} of namespace {self.namespace} in cluster '{self.cluster}'"

    @property
    def command(self) -> str:
        """What lists them."""
        selector = f" -l {shlex.quote(self.selector)}" if self.selector else ""
        return f"kubectl -n {shlex.quote(self.namespace)} get pods{selector}"


class LogSource(Frozen):
    """One log: its file of today and the rotated ones, or what pods wrote."""

    name: Slug = Field(description="How findings and history name it, wherever it lies today")
    kind: LogKind = Field(
        description="access: nginx's combined format or JSON; postgres: csvlog or jsonlog; sshd: auth.log, secure, "
        "or the journal's text; application: anything with a time on its lines, also nginx's error log"
    )
    files: tuple[AbsolutePath, ...] = Field(
        default=(),
        description="Patterns (wildcards) of its files, the rotated ones too, e.g. /var/log/nginx/access.log*; "
        "they may end with .gz or .zst",
    )
    container: Container = Field(
        default=Container.NONE,
        description="docker: json-file; cri: /var/log/pods; text: what docker compose logs or kubectl logs print",
    )
    pods: PodLogs | None = Field(default=None, description="Instead of files: pods, by the API of their cluster")
    timezone: Zone = Field(default="UTC", description="IANA zone of times that name none, and of a csvlog")
    failed_logins: tuple[Pattern, ...] = Field(
        default=(),
        description="Further regular expressions of a failed login; groups named user and source, where it tells them",
    )
    watch: dict[Slug, Pattern] = Field(
        default_factory=dict, description="Regular expressions whose lines are counted, by the name they are told under"
    )
    login_paths: tuple[str, ...] = Field(
        default=("*/login*", "*/signin*", "*/sign-in*", "*/token", "*/session", "*/sessions"),
        description="Access logs: paths (wildcards) that log in; 401, 403 and 429 there is a failed login",
    )
    attack_paths: tuple[str, ...] = Field(
        default=(), description="Access logs: further paths (wildcards, lower case) that only an attacker asks for"
    )
    expected_paths: tuple[str, ...] = Field(
        default=(), description="Access logs: paths (wildcards, lower case) of the known attacks that are served here"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.files) == (self.pods is not None):
            raise ValueError(f"log '{self.name}' needs either 'files' or 'pods'")
        if self.pods is not None and self.container is not Container.NONE:
            raise ValueError(f"log '{self.name}': 'container' is of files; what the API adds is taken off by itself")
        return self


class LogReviewPolicy(Frozen):
    """The logs, and how much of what is told."""

    sources: tuple[LogSource, ...] = Field(default=(), description="The logs")
    source_failures: int = Field(
        default=10, ge=1, description="So many failed logins from one source in the period are WARN"
    )
    user_failures: int = Field(default=10, ge=1, description="So many failed logins of one user in the period are WARN")
    attack_requests: int = Field(
        default=20, ge=1, description="So many requests of known attacks in the period are WARN, fewer are INFO"
    )
    server_errors_share: Share = Field(default=0.01, description="A larger share of 5xx among all requests is WARN")
    minimum_requests: int = Field(default=100, ge=1, description="Of fewer requests no share is judged")
    burst_factor: float = Field(
        default=3, ge=1, description="An hour with so many times what 95 % of the log's former hours had is WARN"
    )
    burst_minimum: int = Field(default=20, ge=1, description="An hour with fewer is no burst")
    history_days: int = Field(default=28, ge=1, le=366, description="History that an hour is held against, in days")
    history_hours: int = Field(default=48, ge=2, description="Less history is not enough to tell a burst, in hours")
    first_hours: float = Field(default=24, gt=0, description="The first review looks back so far, in hours")
    settle_seconds: float = Field(
        default=300, ge=0, description="Younger lines are left to the next review: writers hold some back; in seconds"
    )
    remember_days: int = Field(
        default=30, ge=1, le=366, description="What was served to an attack stays a finding so long, in days, unless a "
        "later request is refused; a login after many failures stays as long"
    )  # fmt: skip
    unreadable_share: Share = Field(default=0.01, description="A larger share of unreadable lines is WARN")
    incomplete_share: Share = Field(default=0.5, description="A larger share of unreadable lines is INCOMPLETE")
    shown: int = Field(default=20, ge=1, le=1000, description="Rows of each table, a log")

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [source.name for source in self.sources]
        if len(names) != len(set(names)):
            raise ValueError("a name stands twice in 'sources'; their histories would be mixed")
        return self
