"""What a backup run reports: one CSV row per database, and whether the size of a backup is plausible."""

from collections.abc import Sequence
from statistics import median
from typing import ClassVar

from tasks.base.backup import BackupKind
from tasks.base.system import System
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.repository.catalog import list_backups
from tasks.repository.manifest import BackupRef, Manifest
from tasks.repository.store import Store


class BackupResult(FlowResult):
    """The backups that were made; one check per database."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "verdict",
        "backup_id",
        "raw_bytes",
        "stored_bytes",
        "tables",
        "rows",
        "seconds",
        "message",
    )
    backups: tuple[Manifest, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """One row per database, a failed one without sizes; what spoils backups has a row of its own."""
        made = {manifest.database: manifest for manifest in self.backups}
        return [_row(check, made.get(check.target) if check.name == "backup" else None) for check in self.checks]


def _row(check: CheckResult, manifest: Manifest | None) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(BackupResult.csv_header, "")
    row |= {"database": check.target, "verdict": str(check.verdict), "message": check.message}
    if manifest is not None:
        row |= {
            "backup_id": manifest.backup_id,
            "raw_bytes": manifest.file("archive").raw_bytes,
            "stored_bytes": manifest.stored_bytes,
            "tables": manifest.tables,
            "rows": manifest.rows,
            "seconds": manifest.durations_seconds["total"],
        }
    return row


def usual_bytes(known: Sequence[BackupRef], manifest: Manifest) -> float:
    """Median stored size of the data of the seven backups before this one, in bytes; 0 when it is the first.

    A listing counts manifest and instructions too, some kilobytes, which would be most of a small backup's size.
    """
    beside = next((ref.stored_bytes for ref in known if ref.backup_id == manifest.backup_id), 0) - manifest.stored_bytes
    before = [ref.stored_bytes - max(0, beside) for ref in known if ref.backup_id < manifest.backup_id][-7:]
    return median(before) if before else 0.0


def size_check(store: Store, system: System, manifest: Manifest) -> CheckResult:
    """OK, or WARN when the stored size is under the floor or under a share of the median of the last seven."""
    stored = manifest.stored_bytes
    known = list_backups(store, system.name, manifest.database, BackupKind.LOGICAL)
    limit = max(
        system.backup.size_floor_bytes, int(system.verification.minimum_size_share * usual_bytes(known, manifest))
    )
    small = stored < limit
    return CheckResult(
        name="backup",
        target=manifest.database,
        verdict=Verdict.WARN if small else Verdict.OK,
        message=f"kept, but {stored} bytes is less than the {limit} expected; compare with the last backups"
        if small
        else manifest.backup_id,
        value=float(stored),
        unit="bytes",
        threshold=float(limit),
        next_command=f"nightshift backups {system.name}" if small else "",
    )
