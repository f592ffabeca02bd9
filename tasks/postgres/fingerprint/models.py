"""The fingerprint of a database."""

from pydantic import Field

from tasks.base.system import FingerprintMode
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


class SequenceFingerprint(Frozen):
    """A sequence moves inside a snapshot: what it stood at before and after the dump."""

    name: str
    before: int
    after: int


class Fingerprint(Frozen):
    """Everything that is compared. Catalog objects are 'section: identity' with the SHA-256 of their definition."""

    server_version_num: int
    tables: tuple[TableFingerprint, ...]
    sequences: tuple[SequenceFingerprint, ...] = ()
    objects: dict[str, str] = Field(default_factory=dict)
    large_objects: int = 0
    large_objects_hash: str = ""
    not_compared: tuple[str, ...] = Field(default=(), description="What cannot be compared, with the reason")


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
    database_bytes: int
