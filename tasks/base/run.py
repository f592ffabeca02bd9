"""Which run is at work, so that its children carry its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tasks.base.processes import identity_of
from tasks.base.words import Frozen

RUN, SUBJECT, OWNER = "NIGHTSHIFT_RUN", "NIGHTSHIFT_SUBJECT", "NIGHTSHIFT_OWNER"


class Run(Frozen):
    """A run and what it works on, SYSTEM/DATABASE."""

    run_id: str
    subject: str


_current: ContextVar[Run | None] = ContextVar("nightshift_run", default=None)


@contextmanager
def run_context(run_id: str, subject: str) -> Iterator[None]:
    """Programs started inside the block carry this run's id and subject in their environment."""
    token = _current.set(Run(run_id=run_id, subject=subject))
    try:
        yield
    finally:
        _current.reset(token)


def current_run() -> Run | None:
    """The run at work in this context; None outside of one. A new thread begins without one."""
    return _current.get()


def child_environment() -> dict[str, str]:
    """What marks a child as ours: run, subject, and the owner as PID:START. Empty outside of a run."""
    run = _current.get()
    if run is None:
        return {}
    return {RUN: run.run_id, SUBJECT: run.subject, OWNER: identity_of(os.getpid())}
