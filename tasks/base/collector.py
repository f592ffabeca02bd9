"""The garbage collector, where it would only get in the way."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection while the block makes very many objects that all stay.

    Each collection would walk over all of them, and find nothing: time would grow faster than their number. Memory that
    is not part of a cycle is freed all the same.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
