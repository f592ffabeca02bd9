"""What a restore test reports: one CSV row per rung, one sentence per backup or dump."""

from typing import ClassVar

from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.postgres.restore.existing import DumpProof
from tasks.repository.records import Receipt


class RestoreTestResult(FlowResult):
    """The receipts that were written, and the dumps that were tried; one CSV row per rung."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "database",
        "backup_id",
        "rung",
        "verdict",
        "seconds",
        "message",
        "rto_seconds",
        "rpo_seconds",
        "proven",
    )
    receipts: tuple[Receipt, ...] = ()
    dumps: tuple[DumpProof, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """One row per rung of each receipt and dump, then one per database or place where nothing was tested."""
        tested: list[Receipt | DumpProof] = [*self.receipts, *self.dumps]
        rows = [_row(one, rung) for one in tested for rung in one.rungs]
        have = {_target(one) for one in tested}
        blank: dict[str, object] = dict.fromkeys(self.csv_header, "")
        return rows + [
            blank | {"database": check.target, "verdict": str(check.verdict), "message": check.message}
            for check in self.checks
            if check.target not in have
        ]


def _target(tested: Receipt | DumpProof) -> str:
    return tested.database if isinstance(tested, Receipt) else tested.backup_id


def _row(tested: Receipt | DumpProof, rung: CheckResult) -> dict[str, object]:
    return {
        "database": tested.database,
        "backup_id": tested.backup_id,
        "rung": rung.name,
        "verdict": str(rung.verdict),
        "seconds": rung.duration_seconds,
        "message": rung.message,
        "rto_seconds": tested.rto_seconds,
        "rpo_seconds": tested.rpo_seconds,
        "proven": tested.proven,
    }


def check_of(tested: Receipt | DumpProof, rto_limit_seconds: float | None) -> CheckResult:
    """The whole test in one sentence: how far it is proven, and of what was not in order the first."""
    message, next_command = f"{tested.backup_id} is {tested.proven}", ""
    if isinstance(tested, DumpProof):
        message = next((rung.message for rung in tested.rungs if rung.name == "count"), "does not restore")
    elif tested.verdict is not Verdict.OK:
        next_command = f"nightshift receipts {tested.system}"
    worst = next((rung for rung in tested.rungs if rung.verdict is tested.verdict), None)
    if worst is not None and tested.verdict not in (Verdict.OK, Verdict.INFO) and worst.message not in message:
        message += f": {worst.name}: {worst.message}"
    return CheckResult(
        name="restore test",
        target=_target(tested),
        verdict=tested.verdict,
        message=message,
        value=tested.rto_seconds,
        unit="seconds",
        threshold=rto_limit_seconds,
        next_command=next_command,
    )
