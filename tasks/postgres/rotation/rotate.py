"""One rotation of a role's password, in an order that a kill at any moment leaves mendable.

The intent is in the journal and the new password beside its place before the server is changed; the place is changed
after the login is proven. So there are only two things to find for the next run: the server refuses what lies beside
the place (nothing has happened, it is removed), or takes it (the rest is done).
"""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from tasks.base.errors import CorruptError, IncompleteError, NightshiftError, RefusedError
from tasks.base.password_places import SecretPlace
from tasks.base.secrets import remember
from tasks.repository.rotations import Record, Step

_BYTES = 32


class Server(Protocol):
    """What a rotation needs of a server, see RoleServer."""

    role: str

    def verifier(self) -> str | None: ...
    def verifier_of(self, password: str) -> str: ...
    def set_verifier(self, verifier: str | None) -> None: ...
    def accepts(self, password: str) -> bool: ...
    def check_password_matters(self) -> None: ...


@dataclass(frozen=True)
class Rotation:
    """One role: its server, its password's place, and how a step is told to the journal."""

    server: Server
    place: SecretPlace
    record: Callable[[Step, str], None]

    @property
    def about(self) -> str:
        """For the journal: what is rotated and where it is kept."""
        return f"role {self.server.role}, kept in {self.place.what}"

    def rotate(self, old_verifier: str | None) -> None:
        """Give the role a new password. Raises a NightshiftError that says in what state things are."""
        password = remember(secrets.token_urlsafe(_BYTES))
        verifier = self.server.verifier_of(password)
        self.record(Step.INTENDED, self.about)
        try:
            self.place.stage(password)
        except NightshiftError as error:
            self.record(Step.ABANDONED, "the new password could not be put beside its place")
            raise RefusedError(f"nothing was changed: {error}") from None
        self._set_and_keep(password, verifier, old_verifier)

    def finish(self, intent: Record | None) -> str:
        """Mend what a killed run left; what was done, in words, empty when nothing was left.

        Raises IncompleteError when it cannot be told which password the server has.
        """
        staged = self.place.staged()
        if staged is None:
            return self._without_staged(intent) if intent is not None else ""
        self.server.check_password_matters()
        kept = self.place.read()
        if not self.server.accepts(staged):
            if kept == staged:
                raise IncompleteError(
                    f"{self.place.what} holds a password that the server does not take, as an interrupted rotation "
                    "left it: set one by hand in both (\\password in psql)"
                )
            self.place.unstage()
            self.record(Step.ABANDONED, "interrupted before the server was changed")
            return "an interrupted rotation had changed nothing at the server; what it had put beside was removed"
        if kept == staged and intent is None:
            self.place.unstage()
            return "what an ended rotation had left beside the place was removed"
        undo = self.server.verifier_of(kept) if kept and kept != staged else None
        self._keep(staged, kept, undo)
        return "an interrupted rotation was finished: the password that the server had already is kept and proven"

    def _set_and_keep(self, password: str, verifier: str, old_verifier: str | None) -> None:
        kept = self.place.read()
        try:
            self.server.set_verifier(verifier)
            if not self.server.accepts(password):
                raise RefusedError(f"the server does not let {self.server.role} in with its new password")
        except NightshiftError as error:
            self._take_back(kept, old_verifier, error)
        self._keep(password, kept, old_verifier, may_undo=True)

    def _keep(self, password: str, kept: str | None, undo: str | None, *, may_undo: bool = False) -> None:
        """Keep what the server has. `undo` is the verifier to go back to, without one only when `may_undo` says so."""
        try:
            self.place.write(password)
            if self.place.readable and self.place.read() != password:
                raise CorruptError(f"{self.place.what} reads back otherwise than it was written")
        except NightshiftError as error:
            if undo is None and not may_undo:
                raise IncompleteError(
                    f"{error}; the server has the new password, which lies in {self.place.staged_at}, and the place "
                    "does not: mend the place and start the flow again"
                ) from None
            self._take_back(kept, undo, error)
        try:
            self.record(Step.PROVEN, self.about)
        except NightshiftError as error:
            raise IncompleteError(
                f"the new password is proven and kept in {self.place.what}, but the journal did not take it: {error}; "
                "start the flow again: it records it"
            ) from None
        self.place.unstage()

    def _take_back(self, kept: str | None, undo: str | None, cause: NightshiftError) -> NoReturn:
        """The place first: a kill in between leaves the server with what lies beside the place, which is mendable."""
        try:
            if kept is not None and self.place.read() != kept:
                self.place.write(kept)
            self.server.set_verifier(undo)
            if self.server.verifier() != undo:
                raise RefusedError("the server keeps another verifier than the old one")
            is_proven = kept is not None and self.server.accepts(kept)
            self.place.unstage()
            self.record(Step.TAKEN_BACK, self.about)
        except NightshiftError as error:
            raise IncompleteError(
                f"{cause}; and it could not be taken back: {error}; the server may have the new password, which lies "
                f"in {self.place.staged_at}: start the flow again, it finds out which one and finishes"
            ) from None
        unknown = f"at the server; {self.place.what} is not known to hold it"
        where = "everywhere, proven by a login" if is_proven else unknown
        raise NightshiftError(f"{cause}; it was taken back: the old password holds {where}") from None

    def _without_staged(self, intent: Record) -> str:
        """Nothing lies beside the place: the killed run had not begun, or lies on another host."""
        if intent.host != socket.gethostname():
            self.server.check_password_matters()
            kept = self.place.read()
            if kept is None or not self.server.accepts(kept):
                raise IncompleteError(
                    f"a rotation of {intent.at:%Y-%m-%d %H:%M} UTC was interrupted on host {intent.host}, and what it "
                    "put beside the place is not here: start the flow there"
                )
        self.record(Step.ABANDONED, "interrupted before anything was changed")
        return "an interrupted rotation had changed nothing"
