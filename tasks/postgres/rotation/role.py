"""A role's rotation from its checks to its report."""

from contextlib import closing
from functools import partial
from typing import Any

from tasks.base.credentials import Credential, Credentials, Rotated
from tasks.base.errors import RefusedError
from tasks.base.password_places import SecretPlace
from tasks.base.system import Database
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.postgres.connection import connect
from tasks.postgres.lock import database_lock
from tasks.postgres.rotation.rotate import Rotation
from tasks.postgres.rotation.server import RoleServer
from tasks.repository.rotations import Rotations

_SHOWN = 3


class _Ready(Frozen):
    """What was seen before anything was changed."""

    verifier: str | None
    loud: tuple[str, ...]
    is_stale: bool


class RoleJob:
    """One role to rotate, with all that it takes."""

    def __init__(self, database: Database, credential: Credential, place: SecretPlace, rotations: Rotations) -> None:
        self._database, self._credential, self._place = database, credential, place
        self._rotations, self._run_id = rotations, rotations.run_id

    def plan(self) -> Rotated:
        """Everything that would keep the rotation from being done, tried without changing anything.

        Raises a NightshiftError for the first thing that would.
        """
        with closing(RoleServer(self._as_it_lets_in(), self._credential, self._run_id)) as server:
            ready = self._prepare(server)
            left = self._place.staged() is not None or self._rotations.interrupted(self._credential.name) is not None
            message = f"role {server.role} would get a new password, kept in {self._place.what}; "
            message += self._remarks(server, ready)
            if left:
                message = f"an interrupted rotation would first be finished or cleared; {message}"
            return Rotated(
                checks=(self._check(Verdict.WARN if ready.loud or left else Verdict.INFO, message),),
                sessions=self._rows(server),
            )

    def rotate(self, policy: Credentials, *, due: bool) -> Rotated:
        """Finish what a killed run left, then rotate when it is due. Raises a NightshiftError that says the state."""
        name, database = self._credential.name, self._as_it_lets_in()
        lock = database_lock(database, "rotation", self._run_id, policy.on_lock, policy.lock_wait_seconds)
        with lock as held, closing(RoleServer(database, self._credential, self._run_id)) as server:
            self._place.check()
            # What was known before the lock was ours may be of before another run.
            meanwhile = self._rotations.rotated_meanwhile(name)
            rotation = Rotation(server, self._place, partial(self._rotations.record, name))
            checks = []
            if mended := rotation.finish(self._rotations.interrupted(name)):
                checks.append(self._check(Verdict.WARN, mended))
            if meanwhile:
                checks.append(self._check(Verdict.INFO, "was rotated by another run meanwhile; nothing was done"))
            elif due and not self._rotations.proven_by(name, self._run_id):
                ready = self._prepare(server)
                held.check()
                rotation.rotate(ready.verifier)
                message = f"role {server.role} has a new password, proven by a login and kept in {self._place.what}; "
                message += self._remarks(server, ready)
                checks.append(self._check(Verdict.WARN if ready.loud else Verdict.OK, message))
            return Rotated(checks=tuple(checks), sessions=self._rows(server))

    def _as_it_lets_in(self) -> Database:
        """The database with its own password; or, when Nightshift's own role is what a killed run left in the middle,
        with the one that lies beside the place.
        """
        try:
            name = f"nightshift:rotation:{self._run_id}"
            connect(self._database, application_name=name, dsn=self._database.lock_dsn).close()
        except RefusedError:
            if self._place.staged() is None:
                raise
            return self._database.model_copy(update={"password": self._place.staged_reference})
        return self._database

    def _prepare(self, server: RoleServer) -> "_Ready":
        """Raises for all that would stand in the way, before any work."""
        self._place.check()
        server.check_role()
        loud = server.loud_settings()
        if loud and not self._credential.allow_verifier_in_log:
            raise RefusedError(
                f"the server would write the new verifier into its log or show it ({', '.join(loud)}), and this role "
                f"cannot hold it back: nothing was changed; {server.grant_for(loud)}, or set allow_verifier_in_log: "
                f"true for {self._credential.name}"
            )
        verifier = server.verifier()
        if not loud:
            server.rehearse(verifier)
        server.check_password_matters()
        kept = self._place.read()
        return _Ready(verifier=verifier, loud=tuple(loud), is_stale=kept is not None and not server.accepts(kept))

    def _remarks(self, server: RoleServer, ready: "_Ready") -> str:
        sessions = server.sessions()
        names = ", ".join(f"{one.pid} {one.application_name or one.client}" for one in sessions[:_SHOWN])
        said = (
            f"{len(sessions)} sessions of it go on under the old one: {names}{' …' if len(sessions) > _SHOWN else ''}"
            if sessions
            else "no session of it is open"
        )
        if ready.loud:
            said += f"; the verifier stands in the server's log or was shown, by {', '.join(ready.loud)}"
        if ready.is_stale:
            said += f"; {self._place.what} held another password than the role's before: is it the right place?"
        if not self._place.readable:
            said += f"; {self._place.what} is not read back"
        return said

    def _rows(self, server: RoleServer) -> tuple[dict[str, Any], ...]:
        sessions = [one.model_dump(mode="json") for one in server.sessions()]
        return tuple({"credential": self._credential.name, **one} for one in sessions)

    def _check(self, verdict: Verdict, message: str) -> CheckResult:
        return CheckResult(name="rotation", target=self._credential.name, verdict=verdict, message=message)
