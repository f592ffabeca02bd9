"""The report before this one: what is new is told against what was last told."""

from datetime import datetime

from pydantic import BaseModel, ValidationError

from tasks.base.words import CheckResult, Verdict
from tasks.repository.store import Store


class FormerReport(BaseModel):
    """Which run it was, and when it ended. Of a stored result of any flow; what else it holds is passed over."""

    run_id: str
    finished_at: datetime


def former_report(store: Store, system: str, flow: str) -> tuple[FormerReport | None, list[CheckResult]]:
    """The newest published report of a flow that can be read, None when there is none; a WARN for each damaged one."""
    stored = [item for item in store.list(f"{system}/reports/{flow}/") if item.key.endswith("/result.json")]
    damaged: list[CheckResult] = []
    for item in sorted(stored, key=lambda item: item.modified_at, reverse=True):
        try:
            return FormerReport.model_validate_json(store.get(item.key)), damaged
        except ValidationError:
            message = f"{item.key} cannot be read, so what is new is told against an older one; remove that report"
            damaged.append(CheckResult(name="former report", target=system, verdict=Verdict.WARN, message=message))
    return None, damaged
