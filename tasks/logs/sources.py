"""The lines of a source, wherever they are."""

from datetime import datetime

from tasks.base.errors import ConfigurationError, MissingError, NightshiftError, RefusedError, UnreachableError
from tasks.base.log_review import Container, LogReviewPolicy, LogSource
from tasks.base.pod_logs import Fetch
from tasks.base.scratch import scratch_folder
from tasks.logs.collect import collect
from tasks.logs.files import Reading
from tasks.logs.tally import Tally


class NotFetchedError(NightshiftError):
    """A cluster gave nothing of its pods' logs."""


def read_source(
    source: LogSource, policy: LogReviewPolicy, since: datetime, until: datetime, fetch: Fetch
) -> tuple[Reading, Tally]:
    """The reading of a log, whose lines are files already, or are fetched into a folder for a moment.

    Raises NotFetchedError; ConfigurationError for a pattern with an unset variable.
    """
    if source.pods is None:
        return collect(source, policy, since, until)
    with scratch_folder() as folder:
        try:
            fetched = fetch(source.pods, since, folder)
        except (UnreachableError, RefusedError, MissingError, ConfigurationError) as error:
            raise NotFetchedError(str(error)) from None
        files = {"pods": None, "files": (f"{folder}/*.log",), "container": Container.CRI}
        reading, tally = collect(source.model_copy(update=files), policy, since, until)
    reading.missing += fetched.missing
    reading.lost += fetched.lost
    return reading, tally
