"""What a cluster gave of its pods' logs: the words in which the room of clusters and that of logs speak."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import Field

from tasks.base.log_review import PodLogs
from tasks.base.words import Frozen


class FetchedLogs(Frozen):
    """Logs that were written into a folder, a file `*.log` a container in the format of CRI; and what is not there."""

    missing: tuple[str, ...] = Field(default=(), description="Sentences on what a later review may still read")
    lost: tuple[str, ...] = Field(default=(), description="Sentences on what nobody can read any more")


# Fetch what these pods wrote since that moment into that folder.
Fetch = Callable[[PodLogs, datetime, Path], FetchedLogs]
