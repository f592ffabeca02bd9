"""How databases are backed up, and how backups are verified, proven and kept: four parts of a system file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tasks.base.secrets import REFERENCE, Reference
from tasks.base.words import Frozen, LockPolicy, Name


def _recipient(value: str) -> str:
    if not value.startswith("age1") and not REFERENCE.match(value):
        raise ValueError("write an age public key (age1…) or a reference to one, such as env:NAME")
    return value


Recipient = Annotated[str, AfterValidator(_recipient)]
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
