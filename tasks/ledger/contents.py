"""What was ever found in a scope, each content once; what one scan of it found is a bit for each of them.

The ledger is folded from all scans of all time. With a reference for each observation, its memory would grow by every
scan that finds again what is known.
"""

from collections.abc import Iterable

import numpy as np

from tasks.base.findings import Finding


class Contents:
    """The findings of one scope as they were recorded, by digest, in the order in which they were first named."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        # None: a scan named it, and nobody recorded it yet.
        self._findings: list[Finding | None] = []

    def __contains__(self, digest: str) -> bool:
        return digest in self._places and self._findings[self._places[digest]] is not None

    @property
    def is_whole(self) -> bool:
        """True when all is here that any scan named."""
        return None not in self._findings

    def keep(self, digest: str, finding: Finding) -> None:
        """Remember a content; the same again, which two hosts recorded at a time, changes nothing."""
        place = self._place(digest)
        if self._findings[place] is None:
            self._findings[place] = finding

    def marked(self, digests: Iterable[str]) -> bytes:
        """One scan's findings, a bit for each content that was named so far; read back by `of`."""
        places = [self._place(digest) for digest in digests]
        bits = np.zeros(len(self._findings), dtype=bool)
        bits[places] = True
        return np.packbits(bits).tobytes()

    def of(self, marked: bytes) -> list[Finding]:
        """The findings of a scan, always the same objects for the same contents."""
        places = np.flatnonzero(np.unpackbits(np.frombuffer(marked, dtype=np.uint8)))
        return [finding for place in places.tolist() if (finding := self._findings[place]) is not None]

    def _place(self, digest: str) -> int:
        place = self._places.setdefault(digest, len(self._findings))
        if place == len(self._findings):
            self._findings.append(None)
        return place
