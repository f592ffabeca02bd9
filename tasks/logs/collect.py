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
    access, text, server = AccessLog(source, tally), TextLog(source, tally, until), ServerLog(source, tally)
    unwrapper = Unwrapper(source.container)
    for path in files_of(source.files, since):
        blocks = _until_stopped(reading.blocks(path, settled=not was_written(path, until)))
        if source.kind is LogKind.POSTGRES:
            server.feed_file(blocks, str(path))
            continue
        text.begin_file()
        for block in blocks:
            if source.kind is not LogKind.ACCESS:
                text.feed(block)
            elif source.container is Container.NONE:
                access.feed(block)
            else:
                lines = "\n".join(line for _, line in unwrapper.lines(block))
                access.feed(f"{lines}\n".encode(errors="replace"))
    tally.malformed += sum(one.malformed for one in (unwrapper, text.unwrapper, server.unwrapper))
    return reading, tally


def _until_stopped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        stopping.raise_if_stopped()
        yield block
