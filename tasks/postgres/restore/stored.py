"""A stored logical backup as it is read back: hashed, decrypted, decompressed, never used before all of it matched."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from tasks.base import stopping
from tasks.base.backup import FingerprintPolicy, RestoreTestPolicy
from tasks.base.errors import RefusedError
from tasks.base.secrets import resolve
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.repository.manifest import Manifest
from tasks.repository.store import Store
from tasks.repository.streams import CHUNK_BYTES, Readable, fetching


@dataclass(frozen=True)
class StoredBackup:
    """One backup in a store, with what opens it."""

    store: Store
    manifest: Manifest
    identity: str | None

    @contextmanager
    def reading(self, role: str) -> Iterator[Readable]:
        """One of its objects. Nothing of it may be used before the block has ended well. Raises CorruptError."""
        file = self.manifest.file(role)
        with fetching(
            self.store,
            file.key,
            identity=self.identity,
            encrypted=bool(self.manifest.recipients),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
        ) as source:
            yield source

    def read(self, role: str) -> bytes:
        """A small object, whole."""
        parts = []
        with self.reading(role) as source:
            while chunk := source.read(CHUNK_BYTES):
                parts.append(chunk)
        return b"".join(parts)

    def fetch(self, role: str, spool: BinaryIO, on_share: Callable[[float], None]) -> None:
        """Write a large object into a file; `on_share` hears how much of it is there. Raises CorruptError."""
        raw_bytes = max(1, self.manifest.file(role).raw_bytes)
        with self.reading(role) as source:
            while chunk := source.read(CHUNK_BYTES):
                stopping.raise_if_stopped()
                spool.write(chunk)
                on_share(spool.tell() / raw_bytes)

    def fingerprint(self) -> Fingerprint:
        """What the database held inside the dump's snapshot."""
        return Fingerprint.model_validate_json(self.read("fingerprint"))

    def same_modes(self, source: Fingerprint, connections: int) -> FingerprintPolicy:
        """A policy that hashes exactly what the source's fingerprint hashed."""
        tables = (*source.tables, *((source.large_objects,) if source.large_objects else ()))
        modes = {
            f"{_glob(table.schema_name)}.{_glob(table.name)}": table.mode
            for table in tables
            if table.mode is not self.manifest.fingerprint_mode
        }
        return FingerprintPolicy(
            mode=self.manifest.fingerprint_mode, content_up_to_bytes=2**62, tables=modes, connections=connections
        )


def identity_for(manifest: Manifest, policy: RestoreTestPolicy) -> str | None:
    """The age identity that opens a backup; None for one in clear.

    Raises RefusedError when none is configured, ConfigurationError when it cannot be read.
    """
    if not manifest.recipients:
        return None
    if policy.identity is None:
        raise RefusedError("the backup is encrypted and no age identity is configured; set restore_test.identity")
    return resolve(policy.identity)


def entries(listing: str) -> list[str]:
    """The entries of a pg_restore listing without its comment lines, which hold times and versions."""
    return [line for line in listing.splitlines() if line and not line.startswith(";")]


def _glob(name: str) -> str:
    """A name as a pattern that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", name)
