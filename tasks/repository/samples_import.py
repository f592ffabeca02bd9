"""What is to be said of an import of samples."""

from collections.abc import Sequence
from typing import ClassVar

from tasks.base.samples import Dated
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.repository.samples_csv import Broken

_NAMED = 5


class ImportResult(FlowResult):
    """What one run took in; the CSV names every broken row."""

    broken: tuple[Broken, ...]
    csv_header: ClassVar[tuple[str, ...]] = Broken._fields

    def csv_rows(self) -> list[dict[str, object]]:
        """One row for each broken row of the file."""
        return [row._asdict() for row in self.broken]


def checks_of(source: str, found: Sequence[Dated], broken: Sequence[Broken], replaced: int) -> list[CheckResult]:
    """How many samples of what days were taken, and the first broken rows by line."""
    checks = []
    if found:
        first, last = min(one.at for one in found), max(one.at for one in found)
        resources = len({(one.sample.kind, one.sample.resource) for one in found})
        place = f", {replaced} of them in place of samples of the same days" if replaced else ""
        said = f"{len(found)} samples of {resources} resources, {first:%Y-%m-%d} to {last:%Y-%m-%d}{place}"
        checks.append(CheckResult(name="import", target=source, verdict=Verdict.OK, message=said))
    else:
        said = "there is no sample in it that could be taken"
        checks.append(CheckResult(name="import", target=source, verdict=Verdict.FAIL, message=said))
    if broken:
        named = "; ".join(f"line {row.line}: {row.reason}" for row in broken[:_NAMED])
        more = f"; {len(broken) - _NAMED} more in report.csv" if len(broken) > _NAMED else ""
        said = f"{len(broken)} rows are broken and were not taken: {named}{more}"
        checks.append(CheckResult(name="broken rows", target=source, verdict=Verdict.WARN, message=said))
    return checks
