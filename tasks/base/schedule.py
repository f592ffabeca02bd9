"""When a flow runs: the schedules of a system file."""

import re
from typing import Any

from pydantic import Field, field_validator

from tasks.base.words import Frozen, Zone

_SLUG = r"^[a-z0-9][a-z0-9-]{0,40}$"
_PROCEDURE = re.compile(r"^[A-Z]{2}-\d{3}$")


class Schedule(Frozen):
    """One schedule of one flow; it becomes the deployment FLOW/SYSTEM-SLUG."""

    flow: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of a file in flows/, e.g. database_backup")
    slug: str = Field(pattern=_SLUG, description="The cadence in a word, e.g. nightly; names the deployment")
    cron: str | None = Field(default=None, description="Five-field cron; none: the deployment is started by hand")
    timezone: Zone | None = Field(default=None, description="IANA zone of the cron; default: the system's")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Parameters of the flow, `system` is added")
    procedures: tuple[str, ...] = Field(default=(), description="Ids of the runbook's procedures that this fulfils")

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        if value is None:
            return value
        fields = value.split()
        if len(fields) != 5:
            raise ValueError(f"'{value}' has {len(fields)} fields; write minute hour day month weekday")
        if fields[2] != "*" and fields[4] != "*":
            raise ValueError(f"'{value}' names day and weekday; cron takes that as OR, so write two schedules")
        return value

    @field_validator("procedures")
    @classmethod
    def _procedure_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [procedure for procedure in value if not _PROCEDURE.match(procedure)]
        if wrong:
            raise ValueError(f"no procedure ids: {', '.join(wrong)}; write such as MN-055")
        return value
