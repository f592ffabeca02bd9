"""What a system is: the models of `deployments/systems/NAME.yaml`. Every number of a runbook lives here."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from tasks.base.access import AccessPolicy
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
from tasks.base.words import Frozen, LockPolicy, Zone


def _recipient(value: str) -> str:
    if not value.startswith("age1") and not REFERENCE.match(value):
        raise ValueError("write an age public key (age1…) or a reference to one, such as env:NAME")
    return value


Recipient = Annotated[str, AfterValidator(_recipient)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Days = Annotated[int, Field(ge=0)]


class FingerprintMode(StrEnum):
    """What a fingerprint holds of a table."""

    CONTENT = "content"
    COUNTS = "counts"
    OFF = "off"


class BackupKind(StrEnum):
    """The kinds of backup that a repository may hold."""

    LOGICAL = "logical"
    BASE = "base"
    INCREMENTAL = "incremental"
    WAL = "wal"
    CONFIGURATION = "configuration"
    APPLICATION = "application"


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
        if not (value.startswith("file:///") or (value.startswith("s3://") and len(value) > 5)):
            raise ValueError("write file:///absolute/path or s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _url_or_reference(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")) and not REFERENCE.match(value):
            raise ValueError("write http(s)://host:port or a reference such as env:S3_ENDPOINT")
        return value


class FingerprintPolicy(Frozen):
    """How much of each table a backup's fingerprint holds."""

    mode: FingerprintMode = Field(
        default=FingerprintMode.CONTENT, description="content: rows and a hash of them; counts: rows; off: nothing"
    )
    content_up_to_bytes: int = Field(
        default=50 * 1024**3, ge=0, description="Larger tables are only counted, in bytes of the table's main fork"
    )
    tables: dict[str, FingerprintMode] = Field(
        default_factory=dict,
        description="Mode per pattern of 'schema.table' (wildcards), first match wins; "
        "pg_catalog.pg_largeobject: large objects",
    )
    connections: int = Field(default=2, ge=1, le=32, description="Parallel connections that read tables")


class BackupPolicy(Frozen):
    """How databases are backed up."""

    # Of a dump, level 1 makes 8 % more than level 2 with a quarter less work, and a fifth less than pg_dump's gzip.
    compression_level: int = Field(default=1, ge=1, le=19, description="zstd level")
    compression_threads: int = Field(default=2, ge=0, le=64, description="zstd threads; 0 is none beside the stream's")
    recipients: tuple[Recipient, ...] = Field(
        default=(),
        description="age public keys (age1…), or references to them, that stored data is encrypted to; "
        "empty: stored in clear",
    )
    fingerprint: FingerprintPolicy = Field(default_factory=FingerprintPolicy)
    size_floor_bytes: int = Field(default=1024, ge=1, description="A smaller stored archive is WARN, in bytes")
    binaries: Path | None = Field(
        default=None, description="Folder of pg_dump and pg_dumpall; default: PATH, Debian's folders, the wheel"
    )
    parallel_databases: int = Field(default=2, ge=1, le=16, description="Databases backed up at a time")
    role_passwords: bool = Field(
        default=True, description="Keep password verifiers of roles; needs a superuser, false on managed servers"
    )
    stall_timeout_seconds: float = Field(
        default=900, gt=0, description="A dump that moves no byte for this long is ended, in seconds"
    )
    deadline_seconds: float = Field(default=6 * 3600, gt=0, description="A longer backup is ended, in seconds")
    on_lock: LockPolicy = Field(default=LockPolicy.REFUSE, description="When another run holds the database's lock")
    lock_wait_seconds: float = Field(default=3600, gt=0, description="How long 'wait' waits, in seconds")
    unfinished_after_hours: float = Field(
        default=24, gt=0, description="Objects without a manifest older than this are swept, in hours"
    )


class VerificationPolicy(Frozen):
    """How stored backups are verified in the evening."""

    reread_after_days: Days = Field(
        default=0,
        description="An object verified by re-reading within this many days, and unchanged in size and time since, "
        "is verified by metadata only; 0 re-reads always",
    )
    minimum_size_share: float = Field(
        default=0.5, ge=0, le=1, description="Smaller than this share of the median of the last seven is WARN"
    )
    identity: Reference | None = Field(
        default=None, description="age identity; with it the archive is decrypted and listed, without it by hash only"
    )


class SqlAssertion(Frozen):
    """A question put to the restored database, with the answer it must give."""

    name: str = Field(description="What it asserts, in words")
    sql: str = Field(description="One SELECT that returns one value")
    expect: str | None = Field(default=None, description="The exact value as text; NULL is the empty string")
    at_least: float | None = Field(default=None, description="The value must be at least this number")
    at_most: float | None = Field(default=None, description="The value must be at most this number")

    @model_validator(mode="after")
    def _one_expectation(self) -> Self:
        if self.expect is None and self.at_least is None and self.at_most is None:
            raise ValueError("an assertion needs expect, at_least or at_most")
        return self


class RestoreTestPolicy(Frozen):
    """How backups are proven by restoring them."""

    identity: Reference | None = Field(default=None, description="age identity that decrypts the backup")
    binaries: Path | None = Field(
        default=None, description="Folder of initdb, pg_ctl, postgres, pg_restore; default: Debian's folders, the wheel"
    )
    folder: Path | None = Field(
        default=None, description="Where sandbox and decrypted spool live; default: the system's temporary folder"
    )
    disk_budget_bytes: int | None = Field(
        default=None, ge=1, description="A test that needs more than this is not started, in bytes; default: free space"
    )
    jobs: int = Field(default=2, ge=1, le=64, description="pg_restore -j, and parallel connections of the comparison")
    assertions: tuple[SqlAssertion, ...] = Field(default=(), description="SQL assertions, for every database")
    database_assertions: dict[Name, tuple[SqlAssertion, ...]] = Field(
        default_factory=dict, description="Further assertions by database name"
    )
    command: tuple[str, ...] = Field(
        default=(),
        description="Program and arguments run against the sandbox; PGHOST, PGPORT, PGUSER, PGDATABASE are set, "
        "exit code 0 is success",
    )
    command_timeout_seconds: float = Field(default=900, gt=0, description="Deadline of `command`, in seconds")
    deadline_seconds: float = Field(default=6 * 3600, gt=0, description="A test longer than this is ended, in seconds")
    rto_seconds: float | None = Field(default=None, gt=0, description="A measured RTO above this is WARN, in seconds")


class Generations(Frozen):
    """How long backups of one kind are kept. A backup is kept when any rule keeps it."""

    newest: int = Field(default=1, ge=1, description="Keep at least this many of the newest, whatever their age")
    days: Days = Field(default=30, description="Keep all of the last N days")
    weekly: int = Field(default=0, ge=0, description="Keep the newest of each of the last N ISO weeks")
    monthly: int = Field(default=0, ge=0, description="Keep the newest of each of the last N months")
    yearly: int = Field(default=0, ge=0, description="Keep the newest of each of the last N years")


class RetentionPolicy(Frozen):
    """How long backups are kept, by kind."""

    kinds: dict[BackupKind, Generations] = Field(
        default_factory=lambda: {BackupKind.LOGICAL: Generations()}, description="Rules by kind; a kind without is kept"
    )


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
        return self
