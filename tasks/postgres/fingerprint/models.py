"""The fingerprint of a database."""

from pydantic import Field

from tasks.base.backup import FingerprintMode
from tasks.base.words import Frozen


class TableFingerprint(Frozen):
    """One table (a leaf partition, an inheritance parent without its children)."""

    schema_name: str
    name: str
    mode: FingerprintMode
    rows: int | None = Field(default=None, description="Exact count; None in mode off")
    content_hash: str = Field(default="", description="Sum of the row hashes, independent of order; mode content only")

    @property
    def label(self) -> str:
        """SCHEMA.NAME for messages."""
        return f"{self.schema_name}.{self.name}"


class Position(Frozen):
    """Where a sequence stands, as it says itself."""

    last_value: int
    is_called: bool = Field(description="False: the next value is last_value itself")

    def __str__(self) -> str:
        return f"{self.last_value}" if self.is_called else f"{self.last_value} (not yet called)"


class SequenceFingerprint(Frozen):
    """A sequence moves inside a snapshot: where it stood before and after the dump."""

    before: Position
    after: Position
    increment: int
    cycles: bool


class Fingerprint(Frozen):
    """Everything that is compared. Catalog objects are 'kind identity' with the SHA-256 of their definition."""

    server_version_num: int
    tables: tuple[TableFingerprint, ...]
    sequences: dict[str, SequenceFingerprint] = Field(default_factory=dict)
    objects: dict[str, str] = Field(default_factory=dict)
    extensions: dict[str, str] = Field(default_factory=dict, description="Name to version")
    large_objects: TableFingerprint | None = Field(default=None, description="Counted and hashed as one table")
    not_compared: dict[str, str] = Field(default_factory=dict, description="What cannot be compared, and the reason")


class ServerFacts(Frozen):
    """What a manifest says of the server."""

    server_version: str
    server_version_num: int
    system_identifier: str
    database_name: str
    encoding: str
    collate: str
    ctype: str
    locale_provider: str
    locale: str
    collation_version: str
    collations_in_use: dict[str, str]
    database_bytes: int
