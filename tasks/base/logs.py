"""Where a system's logs are: the `logs` part of a system file."""

from pydantic import Field

from tasks.base.words import Frozen, Zone


class LogPolicy(Frozen):
    """Log files that this host can read, and what is looked for in them."""

    postgres: tuple[str, ...] = Field(
        default=(),
        description="Patterns of PostgreSQL's csvlog and jsonlog files, e.g. /var/log/postgresql/*.csv; "
        "rotated ones may end with .gz",
    )
    timezone: Zone = Field(default="UTC", description="IANA zone that the servers write their logs in (log_timezone)")
    statements: int = Field(default=20, ge=1, le=1000, description="Slowest logged statements in the report, by total")
