"""Long statements: who runs them, what they block, and ending those that a person names."""

from datetime import datetime
from threading import Event
from typing import Literal

from pydantic import Field

from tasks.base.clock import stopwatch
from tasks.base.statements import without_literals
from tasks.base.words import Frozen
from tasks.postgres import queries
from tasks.postgres.maintain.session import Session

How = Literal["cancel", "terminate"]
# How long a cancelled statement may take to end before that is reported.
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


class LongQuery(Frozen):
    """A session that is at one statement, or idle in one transaction, for too long."""

    pid: int
    backend_start: datetime
    query_start: datetime
    role: str
    application_name: str
    client: str
    state: str
    seconds: float
    waits_for: str
    query: str = Field(description="Without literals")
    blocks: tuple[int, ...] = Field(description="Sessions that wait for it")
    protected: str = Field(description="Why it is never ended; empty for an ordinary session")


def long_queries(session: Session, seconds: float) -> list[LongQuery]:
    """All sessions of this database over the limit, the longest first."""
    found = []
    for row in session.execute(queries.load("long_queries"), {"seconds": seconds}).fetchall():
        values = dict(zip(LongQuery.model_fields, row, strict=True))
        found.append(LongQuery.model_validate(values | {"query": without_literals(str(values["query"]))}))
    return found


def sees_others(session: Session) -> bool:
    """Whether this role may see what other sessions do; without it none of them is over any limit."""
    row = session.execute("SELECT pg_has_role('pg_read_all_stats', 'USAGE')").fetchone()
    return row is not None and bool(row[0])


def end_session(session: Session, target: LongQuery, how: How) -> str:
    """Cancel its statement or terminate it, and wait until that was seen; return what happened, in words."""
    bound = {"pid": target.pid, "backend_start": target.backend_start, "query_start": target.query_start}
    row = session.execute(queries.load("end_session"), {**bound, "terminate": how == "terminate"}).fetchone()
    if row is None:
        return "had ended by itself"
    elapsed = stopwatch()
    while elapsed() < _END_SECONDS:
        now = session.execute(queries.load("session_state"), bound).fetchone()
        if now is None:
            return "its session is gone"
        if how == "cancel" and (now[0] != "active" or now[1] != target.query_start):
            return f"its statement ended, the session is {now[0]}"
        Event().wait(_POLL_SECONDS)
    return ""
