"""The report before this one: what is new is told against what was last told."""

from datetime import datetime

from pydantic import BaseModel, ValidationError

from tasks.base.errors import CorruptError
from tasks.repository.store import Store


class FormerReport(BaseModel):
    """Which run it was, and when it ended. Of a stored result of any flow; what else it holds is passed over."""

    run_id: str
    finished_at: datetime


def former_report(store: Store, system: str, flow: str) -> FormerReport | None:
    """The newest published report of a flow; None when there is none yet. Raises CorruptError for a damaged one."""
    stored = [item for item in store.list(f"{system}/reports/{flow}/") if item.key.endswith("/result.json")]
    if not stored:
        return None
    newest = max(stored, key=lambda item: item.modified_at).key
    try:
        return FormerReport.model_validate_json(store.get(newest))
    except ValidationError:
        raise CorruptError(f"{newest} cannot be read; remove that report, the one before it is then compared") from None
