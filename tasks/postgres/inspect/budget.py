"""The time that an inspection may take: what is not looked at within it is said, and nothing else is held up."""

from collections.abc import Mapping

import psycopg
from psycopg import Connection, sql

from tasks.base import stopping
from tasks.base.clock import stopwatch

Session = Connection[tuple[object, ...]]
Rows = list[tuple[object, ...]]


class Budget:
    """So many seconds from now on; `reason` says what ends them, and what to do about it."""

    def __init__(self, seconds: float, reason: str) -> None:
        self._seconds, self._elapsed, self.reason = seconds, stopwatch(), reason

    def left_seconds(self) -> float:
        """What is left of them; negative when they are over."""
        return self._seconds - self._elapsed()

    def read(self, session: Session, statement: bytes, bound: Mapping[str, object] | None = None) -> Rows | None:
        """The rows of a statement; None when there was no time for it. The session keeps the limit."""
        if self.left_seconds() <= 0:
            return None
        try:
            self.limit(session)
            return session.execute(statement, bound).fetchall()
        except psycopg.errors.QueryCanceled:
            stopping.raise_if_stopped()
            return None

    def limit(self, session: Session) -> None:
        """Let the next statement take what is left, and be cancelled by the server then."""
        limit = sql.Literal(f"{max(1, int(self.left_seconds() * 1000))}ms")
        session.execute(sql.SQL("SET statement_timeout = {}").format(limit))
