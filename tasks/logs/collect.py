"""One pass over a log: its files of the period as a stream, each line counted once."""

from collections.abc import Iterator
from datetime import datetime

from tasks.base import stopping
from tasks.base.log_review import Container, LogKind, LogReviewPolicy, LogSource
from tasks.logs.access import AccessLog
from tasks.logs.containers import Unwrapper
from tasks.logs.files import Reading, files_of, was_written
from tasks.logs.server_logs import ServerLog
from tasks.logs.tally import Tally, tally_of
from tasks.logs.text_logs import TextLog


def collect(source: LogSource, policy: LogReviewPolicy, since: datetime, until: datetime) -> tuple[Reading, Tally]:
    """Read all files that were written since then; counts of the lines between the two moments.

    Raises ConfigurationError for a pattern with an unset variable.
    """
    reading, tally = Reading(), tally_of(since, until, policy.source_failures)
    unwrapper = Unwrapper(source.container)
    access, text = AccessLog(source, tally), TextLog(source, tally, until, unwrapper)
    server = ServerLog(source, tally, unwrapper)
    for path in files_of(source.files, since):
        blocks = _until_stopped(reading.blocks(path, settled=not was_written(path, until)))
        if source.kind is LogKind.POSTGRES:
            server.feed_file(blocks, str(path))
        elif source.kind is LogKind.ACCESS:
            for block in blocks:
                access.feed(_unwrapped(unwrapper, block) if source.container is not Container.NONE else block)
        else:
            text.begin_file()
            for block in blocks:
                text.feed(block)
        unwrapper.end_file()
    tally.malformed += unwrapper.malformed
    return reading, tally


def _until_stopped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        stopping.raise_if_stopped()
        yield block


def _unwrapped(unwrapper: Unwrapper, block: bytes) -> bytes:
    lines = "\n".join(line for _, line in unwrapper.lines(block))
    return f"{lines}\n".encode(errors="replace")
