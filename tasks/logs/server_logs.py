"""PostgreSQL's csvlog and jsonlog: logins that failed, and errors by their kind."""

from collections.abc import Iterator

from tasks.base.log_review import LogSource
from tasks.base.statements import hidden
from tasks.logs.containers import Unwrapper
from tasks.logs.records import Broken, LogRecord, records
from tasks.logs.tally import Tally

# invalid_password, invalid_authorization_specification (no such role, no rule in pg_hba.conf, peer, ident …).
_REFUSED = ("28P01", "28000")
# Success, warning, no data: nothing went wrong.
_NO_ERROR = ("00", "01", "02")
_LOGGED_IN = "connection authorized: "


class ServerLog:
    """Takes the blocks of one file after another, and counts into its tally."""

    def __init__(self, source: LogSource, tally: Tally, unwrapper: Unwrapper) -> None:
        self._source, self._tally = source, tally
        self._unwrapper = unwrapper

    def feed_file(self, blocks: Iterator[bytes], place: str) -> None:
        """Count the records of a file; its first character tells whether it is jsonlog."""
        lines = self._lines(blocks)
        first = next(lines, None)
        if first is None:
            return
        as_json = first[1].startswith("{")
        for _, record in records(_chained(first, lines), self._source.timezone, place, as_json=as_json):
            if isinstance(record, Broken):
                self._tally.malformed += 1
            elif self._tally.is_due(record.at.timestamp()):
                self._one(record)

    def _lines(self, blocks: Iterator[bytes]) -> Iterator[tuple[int, str]]:
        number = 0
        for block in blocks:
            for _, line in self._unwrapper.lines(block):
                number += 1
                yield number, line + "\n"

    def _one(self, record: LogRecord) -> None:
        at = record.at.timestamp()
        if record.state in _REFUSED:
            self._tally.failed_login(record.user, record.source or "[local]", at)
        elif record.message.startswith(_LOGGED_IN):
            self._tally.login(record.user, record.source or "[local]", at)
        elif record.state and not record.state.startswith(_NO_ERROR):
            self._tally.error(hidden(record.message), at, record.state)


def _chained(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest
