"""Rotations in the journal: what was intended and how it ended, without any secret.

The intent is written before anything is changed, so that the next run finds what a killed one left.
"""

import socket
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tasks.base.clock import utc_now
from tasks.base.words import Frozen
from tasks.repository import journal
from tasks.repository.store import Store

_STREAM = "rotations"


class Step(StrEnum):
    """How far a rotation came. After `intended` the next run has to look what there is, after `failed` a person."""

    INTENDED = "intended"
    PROVEN = "proven"
    TAKEN_BACK = "taken back"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Record(Frozen):
    """One step of one rotation."""

    credential: str
    run_id: str
    at: datetime
    step: Step
    host: str = Field(description="Where it ran, and where what it put beside its place may lie")
    detail: str = Field(default="", description="Role and place, or the proof; never a secret")


class Rotations:
    """The rotations of a system that are known now, and those that this run adds."""

    def __init__(self, store: Store, system: str, run_id: str) -> None:
        """Read the journal. Raises CorruptError for an object of it that cannot be read."""
        self._store, self._system, self.run_id = store, system, run_id
        self._records: list[Record] = []
        self.read_again()
        self._at_first = {one.credential: self.rotated_at(one.credential) for one in self._records}

    def read_again(self) -> None:
        """Take in what others recorded meanwhile."""
        rows = journal.fold(self._store, self._system, _STREAM, ("credential", "run_id", "step"))
        self._records = [Record.model_validate(row) for row in rows]

    def record(self, credential: str, step: Step, detail: str = "") -> None:
        """Keep one step. Safe to run again."""
        one = Record(
            credential=credential,
            run_id=self.run_id,
            at=utc_now(),
            step=step,
            host=socket.gethostname(),
            detail=detail,
        )
        journal.append(self._store, self._system, _STREAM, [one.model_dump(mode="json")], f"{self.run_id}-{credential}")
        self._records.append(one)

    def rotated_at(self, credential: str) -> datetime | None:
        """When it was last rotated and proven; None when no run did."""
        return max((one.at for one in self._of(credential) if one.step is Step.PROVEN), default=None)

    def rotated_meanwhile(self, credential: str) -> bool:
        """Read again; True when another run rotated it since this one began, so that it needs no second one."""
        self.read_again()
        return self.rotated_at(credential) != self._at_first.get(credential) and not self.proven_by(
            credential, self.run_id
        )

    def proven_by(self, credential: str, run_id: str) -> bool:
        """True when that run rotated it: its second try does not rotate again."""
        return any(one.step is Step.PROVEN and one.run_id == run_id for one in self._of(credential))

    def interrupted(self, credential: str) -> Record | None:
        """The intent whose end nobody recorded; None when the last rotation ended."""
        last = self.unsettled(credential)
        return last if last is not None and last.step is Step.INTENDED else None

    def unsettled(self, credential: str) -> Record | None:
        """The last step when it leaves open which credential holds: an intent without end, or a failure."""
        last = max(self._of(credential), key=lambda one: one.at, default=None)
        return last if last is not None and last.step in (Step.INTENDED, Step.FAILED) else None

    def _of(self, credential: str) -> list[Record]:
        return [one for one in self._records if one.credential == credential]
