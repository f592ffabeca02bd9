"""What a retention run reports: the plan, one CSV row per backup."""

from typing import ClassVar

from tasks.base.words import FlowResult
from tasks.repository.retention import Decision


class RetentionResult(FlowResult):
    """One row per backup: what becomes of it, and why."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "kind",
        "backup_id",
        "snapshot_at",
        "stored_bytes",
        "decision",
        "reason",
    )
    decisions: tuple[Decision, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The plan, which is exactly what a real run carries out."""
        return [
            {
                "database": decision.backup.database,
                "kind": str(decision.backup.kind),
                "backup_id": decision.backup.backup_id,
                "snapshot_at": decision.backup.snapshot_at.isoformat(),
                "stored_bytes": decision.backup.stored_bytes,
                "decision": "keep" if decision.keep else "delete",
                "reason": decision.reason,
            }
            for decision in self.decisions
        ]
