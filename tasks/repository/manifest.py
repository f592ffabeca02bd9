"""The manifest: the only truth about a backup. Written last, once, never changed; no manifest means no backup."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from tasks.base.backup import BackupKind, FingerprintMode
from tasks.base.clock import parse_stamp
from tasks.base.words import Frozen

MANIFEST = "manifest.json"


class StoredFile(Frozen):
    """One data object of a backup, as it is stored."""

    role: Literal["archive", "toc", "globals", "fingerprint", "instructions"] = Field(description="What it holds")
    key: str = Field(description="Key in the repository")
    size_bytes: int = Field(description="Stored size, after compression and encryption")
    sha256: str = Field(description="SHA-256 of the stored bytes, hexadecimal")
    raw_bytes: int = Field(description="Size before compression and encryption")


class Manifest(Frozen):
    """A finished backup. Plain JSON: sizes, hashes, positions, versions; no table names, no secrets."""

    format_version: Literal[1] = 1
    backup_id: str = Field(description="UTC stamp of the snapshot by the server's clock, '-', run id")
    system: str
    database: str
    kind: BackupKind
    run_id: str
    snapshot_at: AwareDatetime = Field(description="Time of the snapshot by the server's clock")
    snapshot_lsn: str = Field(description="WAL position at the snapshot")
    finished_at: AwareDatetime
    nightshift_version: str
    server_version: str
    server_version_num: int
    client_version: str = Field(description="Version of pg_dump")
    client_major: int
    system_identifier: str = Field(description="pg_control's identifier; empty when the role may not see it")
    database_name: str = Field(description="Name of the database inside the server")
    encoding: str
    collate: str
    ctype: str
    locale_provider: str = Field(description="c, i or b as in pg_database.datlocprovider")
    locale: str = Field(default="", description="ICU or builtin locale, where the provider has one")
    collation_version: str = Field(default="", description="Recorded collation version of the database")
    collations_in_use: dict[str, str] = Field(default_factory=dict, description="Provider:locale to recorded version")
    database_bytes: int = Field(description="pg_database_size at the snapshot")
    fingerprint_mode: FingerprintMode
    tables: int = Field(description="Tables in the fingerprint")
    rows: int | None = Field(description="Rows of all tables counted; None when the fingerprint is off")
    files: tuple[StoredFile, ...]
    recipients: tuple[str, ...] = Field(description="age public keys; empty: stored in clear")
    compression: str = Field(description="e.g. 'zstd-1'")
    durations_seconds: dict[str, float] = Field(description="Seconds by step")
    depends_on: tuple[str, ...] = Field(default=(), description="Ids of the backups that this one needs")
    notes: tuple[str, ...] = Field(default=(), description="What the backup could not hold, e.g. role passwords")

    @property
    def prefix(self) -> str:
        """Where the backup's objects lie: SYSTEM/DATABASE/KIND/ID."""
        return f"{self.system}/{self.database}/{self.kind}/{self.backup_id}"

    @property
    def stored_bytes(self) -> int:
        """Stored size of all data objects; the instructions are none."""
        return sum(file.size_bytes for file in self.files if file.role != "instructions")

    def file(self, role: str) -> StoredFile:
        """The object with that role. Raises KeyError."""
        for file in self.files:
            if file.role == role:
                return file
        raise KeyError(role)


class BackupRef(Frozen):
    """A finished backup as a listing of keys shows it, without reading its manifest."""

    system: str
    database: str
    kind: BackupKind
    backup_id: str
    stored_bytes: int = Field(description="Size of all its objects, the manifest included")

    @property
    def prefix(self) -> str:
        """Where the backup's objects lie."""
        return f"{self.system}/{self.database}/{self.kind}/{self.backup_id}"

    @property
    def snapshot_at(self) -> datetime:
        """Time of the snapshot, which the id begins with."""
        return parse_stamp(self.backup_id)
