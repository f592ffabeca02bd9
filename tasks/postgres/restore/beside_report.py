"""What a restore beside what is there reports: one row per check and step, and one true sentence."""

from typing import ClassVar

from tasks.base.units import human
from tasks.base.words import CheckResult, FlowResult
from tasks.postgres.restore.beside import Restored
from tasks.postgres.restore.ladder import how_far

HEADER = ("database", "backup_id", "into", "step", "verdict", "seconds", "message", "rto_seconds", "next_command")


class DatabaseRestoreResult(FlowResult):
    """One restore: its checks and steps in their order."""

    csv_header: ClassVar[tuple[str, ...]] = HEADER
    # The checks of the page are the same rows, the worst first.
    rows_on_page: ClassVar[bool] = False
    database: str = ""
    backup_id: str = ""
    into: str = ""
    rto_seconds: float | None = None

    def csv_rows(self) -> list[dict[str, object]]:
        """One row per check and step."""
        return [
            {
                "database": self.database,
                "backup_id": self.backup_id,
                "into": self.into,
                "step": check.name,
                "verdict": str(check.verdict),
                "seconds": check.duration_seconds,
                "message": check.message,
                "rto_seconds": self.rto_seconds,
                "next_command": check.next_command,
            }
            for check in self.checks
        ]

    @property
    def headline(self) -> str:
        """What is there now, or what is wrong and what comes next."""
        what = f"backup {self.backup_id} of '{self.database}'"
        if self.rto_seconds is not None and not self.verdict.is_red:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
            took = human(self.rto_seconds, "seconds")
            return f"'{self.into}' is {what}, {how_far(self.checks)} in {took}; {counts}"
        worst = next((one for one in self.checks if one.verdict is self.verdict), None)
        if self.verdict.is_red and worst is not None:
            kept = next((f"; {one.message}" for one in self.checks if one.name == "kept"), "")
            plan = "plan only, nothing was changed; " if self.dry_run else ""
            return f"{plan}'{self.into}' cannot be had: {worst.name}: {worst.message}{kept}"
        return f"plan only, nothing was changed; {what} can be restored as '{self.into}', as far as is known"


def checks_of(restored: Restored) -> tuple[CheckResult, ...]:
    """The steps, the last of them with the command that comes next."""
    *steps, last = restored.steps
    return (*steps, last.model_copy(update={"next_command": restored.next_command}))
