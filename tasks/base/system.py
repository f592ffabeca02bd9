"""What a system is: the models of `deployments/systems/NAME.yaml`. Every number of a runbook lives here."""

import re
from typing import Literal, Self
from urllib.parse import unquote

from pydantic import Field, field_validator, model_validator

from tasks.base.access import AccessPolicy
from tasks.base.backup import BackupPolicy, RestoreTestPolicy, RetentionPolicy, VerificationPolicy
from tasks.base.capacity import CapacityPolicy
from tasks.base.credentials import Credentials
from tasks.base.log_review import LogReviewPolicy
from tasks.base.logs import LogPolicy
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.performance import PerformancePolicy
from tasks.base.prometheus import PrometheusPolicy
from tasks.base.schedule import Schedule
from tasks.base.secrets import REFERENCE, ConnectionString, Reference
from tasks.base.security import SecurityPolicy
from tasks.base.security_check import SecurityCheckPolicy
from tasks.base.words import Frozen, Name, Zone

_PLACE = re.compile(r"(file:///|s3://)[^/].*")


class Database(Frozen):
    """One PostgreSQL database of the system."""

    name: Name = Field(description="How Nightshift calls it; part of every repository key")
    dsn: ConnectionString = Field(
        description="libpq connection string or URI of a direct connection (no pooler), without secrets, "
        "e.g. 'service=shop' or 'host=db1 dbname=shop user=nightshift'"
    )
    lock_dsn: ConnectionString | None = Field(
        default=None, description="Connection string of the primary, when `dsn` is a standby; the lock is taken there"
    )
    standbys: tuple[ConnectionString, ...] = Field(
        default=(),
        description="Connection strings of its other servers; an index is unused only when none of them scans it",
    )
    password: Reference | None = Field(
        default=None, description="Where the password is, when libpq's own places (service, passfile) do not hold it"
    )
    rpo_hours: float = Field(default=26.0, gt=0, description="The newest backup may be this old, in hours")


class RepositoryPolicy(Frozen):
    """Where everything that Nightshift keeps lies."""

    url: str = Field(description="file:///path or s3://bucket/prefix")
    endpoint: str | None = Field(
        default=None, description="URL of an S3-compatible store, or a reference to it; default: AWS"
    )
    region: str | None = Field(default=None, description="S3 region; default: what boto3 finds")
    access_key_id: Reference | None = Field(default=None, description="Default: boto3's own places")
    secret_access_key: Reference | None = Field(default=None, description="Default: boto3's own places")

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if not _PLACE.fullmatch(value) or "\0" in unquote(value):
            raise ValueError("write file:///absolute/path or s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _url_or_reference(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")) and not REFERENCE.match(value):
            raise ValueError("write http(s)://host:port or a reference such as env:S3_ENDPOINT")
        return value


class Alerting(Frozen):
    """Whom a run tells how it ended (a fuller router comes later)."""

    heartbeat_url: Reference | None = Field(
        default=None, description="Pinged by GET after each run that ended well; a dead man's switch"
    )
    webhook_url: Reference | None = Field(
        default=None, description="Gets one JSON message {'text': …} for each run that failed or crashed"
    )


class Thresholds(Frozen):
    """Limits of the runbook that flows hold measurements against."""

    clock_skew_seconds: float = Field(default=60, gt=0, description="Skew between server and host above this is WARN")
    disk_free_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="A file repository's disk with less than this share free, or no room for another backup, is WARN",
    )


class System(Frozen):
    """What one runbook operates."""

    name: Name = Field(description="Name of the system; equals the file's name")
    description: str = Field(default="", description="One line for people")
    timezone: Zone = Field(default="UTC", description="IANA zone of the schedules that name none")
    work_pool: Name = Field(default="nightshift", description="Prefect work pool that runs the system's flows")
    databases: tuple[Database, ...] = Field(min_length=1, description="The databases")
    repository: RepositoryPolicy
    backup: BackupPolicy = Field(default_factory=BackupPolicy)
    verification: VerificationPolicy = Field(default_factory=VerificationPolicy)
    restore_test: RestoreTestPolicy = Field(default_factory=RestoreTestPolicy)
    retention: RetentionPolicy = Field(default_factory=RetentionPolicy)
    maintenance: MaintenancePolicy = Field(default_factory=MaintenancePolicy)
    capacity: CapacityPolicy = Field(default_factory=CapacityPolicy)
    performance: PerformancePolicy = Field(default_factory=PerformancePolicy)
    logs: LogPolicy = Field(default_factory=LogPolicy)
    log_review: LogReviewPolicy = Field(default_factory=LogReviewPolicy)
    prometheus: PrometheusPolicy = Field(default_factory=PrometheusPolicy)
    security: SecurityPolicy = Field(default_factory=SecurityPolicy)
    security_check: SecurityCheckPolicy = Field(default_factory=SecurityCheckPolicy)
    credentials: Credentials = Field(default_factory=Credentials)
    access: AccessPolicy = Field(default_factory=AccessPolicy)
    alerting: Alerting = Field(default_factory=Alerting)
    thresholds: Thresholds = Field(default_factory=Thresholds)
    schedules: tuple[Schedule, ...] = Field(default=(), description="What runs when, and which procedures it fulfils")
    version: Literal[1] = Field(default=1, description="Version of this file's format")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [database.name for database in self.databases]
        if len(set(names)) != len(names):
            raise ValueError("two databases have the same name")
        slugs = [(schedule.flow, schedule.slug) for schedule in self.schedules]
        if len(set(slugs)) != len(slugs):
            raise ValueError("two schedules of one flow have the same slug")
        unknown = set(self.restore_test.database_assertions) - set(names)
        if unknown:
            raise ValueError(f"restore_test.database_assertions names unknown databases: {', '.join(sorted(unknown))}")
        if self.prometheus.url is None and any(metric.promql for metric in self.capacity.metrics):
            raise ValueError("capacity.metrics ask by promql, and there is no prometheus.url to ask")
        asked = {metric.database for metric in self.capacity.metrics if metric.database}
        unknown = (asked | set(self.capacity.databases.capacity_bytes)) - set(names)
        if unknown:
            raise ValueError(f"capacity names unknown databases: {', '.join(sorted(unknown))}")
        unknown = {one.database for one in self.credentials.entries if one.database} - set(names)
        if unknown:
            raise ValueError(f"credentials name unknown databases: {', '.join(sorted(unknown))}")
        unknown = set(self.access.clusters) - {cluster.name for cluster in self.capacity.clusters}
        if unknown:
            raise ValueError(f"access.clusters names none of capacity.clusters: {', '.join(sorted(unknown))}")
        asked = {source.pods.cluster for source in self.log_review.sources if source.pods}
        unknown = asked - {cluster.name for cluster in self.capacity.clusters}
        if unknown:
            raise ValueError(f"log_review names none of capacity.clusters: {', '.join(sorted(unknown))}")
        return self
