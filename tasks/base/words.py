"""The words that cross rooms: Verdict, CheckResult, FlowResult, and what several policies say alike."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# The name of the state in which a run ends that is done and has something to look at.
WITH_WARNINGS = "With warnings"


class Frozen(BaseModel):
    """The base of all data that crosses a room's door: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, such as Europe
        raise ValueError(f"'{value}' is no time zone; write an IANA name such as UTC or Europe/Berlin") from None
    return value


Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Verdict(StrEnum):
    """How a check ended. The order of the members is their severity, the worst last.

    SKIP is "not known, with the reason" and INCOMPLETE "part of it was done"; neither is ever shown as green.
    """

    OK = "OK"
    INFO = "INFO"
    SKIP = "SKIP"
    WARN = "WARN"
    INCOMPLETE = "INCOMPLETE"
    FAIL = "FAIL"

    @property
    def is_red(self) -> bool:
        """True when the run must end as failed."""
        return self in (Verdict.INCOMPLETE, Verdict.FAIL)

    @classmethod
    def worst(cls, verdicts: Sequence["Verdict"]) -> "Verdict":
        """The most severe of several. Nothing checked is SKIP: testing nothing proves nothing."""
        order = list(cls)
        return max(verdicts, key=order.index, default=Verdict.SKIP)


class CheckResult(Frozen):
    """One thing that was looked at, and what was found."""

    name: str = Field(description="What was checked, in the field's term, e.g. 'stored hash'")
    target: str = Field(description="On what, e.g. database 'shop' or a backup id")
    verdict: Verdict
    message: str = Field(default="", description="One sentence; for anything but OK with the reason and what to do")
    value: float | None = Field(default=None, description="The measured value, in `unit`")
    unit: str = ""
    threshold: float | None = Field(default=None, description="What `value` was held against, in `unit`")
    duration_seconds: float | None = None
    next_command: str = Field(default="", description="The command to type next, where there is one")


class LockPolicy(StrEnum):
    """What a run does when another one holds the lock of its database."""

    WAIT = "wait"
    REFUSE = "refuse"


class FlowResult(Frozen):
    """What a flow returns. Subclasses add what they found; the verdict is the worst of the checks."""

    flow: str
    system: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    checks: tuple[CheckResult, ...] = ()
    dry_run: bool = False

    # What the CSV of this result holds; constant and documented. A subclass with rows of its own overrides both.
    csv_header: ClassVar[tuple[str, ...]] = tuple(CheckResult.model_fields)
    # The unit of a column whose name does not end with it, for the page; '@COLUMN' takes it from that column.
    csv_units: ClassVar[dict[str, str]] = {}
    # The columns of it that the page shows, when all of them are too many to read.
    page_columns: ClassVar[tuple[str, ...]] = ()
    # False where further tables show the same rows, sorted by what there is to do.
    rows_on_page: ClassVar[bool] = True

    def csv_rows(self) -> list[dict[str, object]]:
        """The rows of the CSV, in the order of `csv_header`."""
        return [check.model_dump(mode="json") for check in self.checks]

    def things_to_do(self) -> Sequence[str]:
        """What the page begins with: a sentence each, the most urgent first."""
        return ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all checks; SKIP when nothing was checked."""
        return Verdict.worst([check.verdict for check in self.checks])

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many checks ended with which verdict, worst first, zeros left out."""
        found = Counter(check.verdict for check in self.checks)
        return {verdict: found[verdict] for verdict in reversed(Verdict) if found[verdict]}

    @property
    def headline(self) -> str:
        """One true sentence for the list of runs, e.g. '1 FAIL, 4 OK: shop: object archive is missing …'."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items()) or "nothing was checked"
        worst = next((check for check in self.checks if check.verdict == self.verdict), None)
        plan = "plan only, nothing was changed; " if self.dry_run else ""
        # Of several that are well the count says it all; a single one, or the worst, speaks for itself.
        if worst is None or not worst.message or (self.verdict is Verdict.OK and len(self.checks) > 1):
            return plan + counts
        return f"{plan}{counts}: {worst.target}: {worst.message}"

    @property
    def next_commands(self) -> list[str]:
        """What to type next, each once, that of the worst verdict first."""
        worst_first = sorted(self.checks, key=lambda check: list(Verdict).index(check.verdict), reverse=True)
        return list(dict.fromkeys(check.next_command for check in worst_first if check.next_command))

    def with_checks(self, *checks: CheckResult) -> Self:
        """The same result with further checks."""
        return self.model_copy(update={"checks": self.checks + checks})
