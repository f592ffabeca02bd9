"""How old credentials are, and what is due. An age that nothing tells is unknown, and never taken for a young one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

from pydantic import Field

from tasks.base.clock import iso, utc_now
from tasks.base.credentials import Credential
from tasks.base.errors import IncompleteError, NightshiftError
from tasks.base.findings import Finding, Scan, Severity, identity_of
from tasks.base.scans import Scanning, as_scan
from tasks.base.security import place_of
from tasks.base.words import Frozen
from tasks.credentials.certificates import certificate_in, shown_by
from tasks.repository.rotations import Rotations

_DAY = timedelta(days=1)


class State(StrEnum):
    """Where a credential stands, the worst last."""

    FRESH = "fresh"
    DUE = "due"
    UNKNOWN = "unknown"
    OVERDUE = "overdue"


class Age(Frozen):
    """What is known of a credential's age. Times are aware UTC."""

    rotated_at: datetime | None = Field(default=None, description="None: nothing tells it")
    known_by: str = Field(default="", description="Journal, stated date, date of a file or certificate")
    ends_at: datetime | None = Field(default=None, description="End of a certificate's validity")
    unread: str = Field(default="", description="Why a source could not be read: the age is then unknown")

    def age_days(self, now: datetime) -> float | None:
        """Its age in days; None when it is unknown."""
        return None if self.rotated_at is None or self.unread else round((now - self.rotated_at) / _DAY, 1)

    def must_by(self, credential: Credential) -> datetime | None:
        """When it must have been rotated; None when that is unknown."""
        if self.unread:
            return None
        limit = credential.max_age_days
        if limit is not None and self.rotated_at is None and self.ends_at is None:
            return None
        by_age = self.rotated_at + timedelta(days=limit) if limit is not None and self.rotated_at else None
        return min((one for one in (by_age, self.ends_at) if one is not None), default=None)

    def state(self, credential: Credential, now: datetime) -> State:
        """Where it stands at that moment."""
        by = self.must_by(credential)
        if by is None:
            return State.UNKNOWN
        if by <= now:
            return State.OVERDUE
        return State.DUE if by - timedelta(days=credential.lead_days) <= now else State.FRESH


def age_of(credential: Credential, rotations: Rotations) -> Age:
    """The latest of all dates that are known: the journal's, the stated one, that of the file or certificate."""
    dates: list[tuple[datetime, str]] = []
    if (recorded := rotations.rotated_at(credential.name)) is not None:
        dates.append((recorded, "the journal"))
    if credential.rotated_at is not None:
        stated = credential.rotated_at
        dates.append(
            (datetime(stated.year, stated.month, stated.day, tzinfo=UTC), "the date stated in the system file")
        )
    ends = None
    try:
        if credential.served is not None:
            shown = shown_by(credential.served, valid=False)
            dates.append((shown.begins_at, f"the certificate of {credential.served.address}"))
            ends = shown.ends_at
        elif credential.dated_by is not None:
            begins, ends, source = _date_of_file(credential.dated_by)
            dates.append((begins, source))
        known = max(dates, default=None)
        if known is not None and known[0] > utc_now() + _DAY:
            raise IncompleteError(f"{known[1]} lies in the future, {iso(known[0])}; correct it")
    except NightshiftError as error:
        return Age(unread=str(error))
    return Age(rotated_at=known[0], known_by=known[1], ends_at=ends) if known else Age(ends_at=ends)


def scannings(entries: Sequence[Credential], rotations: Rotations) -> list[Scanning]:
    """One look at each credential's age, for the ledger."""
    return [(_scope(one), partial(_scan, one, rotations)) for one in entries]


def _scan(credential: Credential, rotations: Rotations) -> Scan:
    return as_scan(_scope(credential), "ages", partial(_look, credential, rotations))


def _look(credential: Credential, rotations: Rotations) -> list[Finding]:
    """What is wrong with its age: one finding that stays the same one while it grows worse."""
    age, now = age_of(credential, rotations), utc_now()
    if age.unread:
        raise IncompleteError(f"the age of {credential.name} is unknown: {age.unread}")
    state, by = age.state(credential, now), age.must_by(credential)
    if state is State.FRESH:
        return []
    severity, said = {
        State.DUE: (Severity.LOW, f"must be rotated by {iso(by) if by else ''}"),
        State.UNKNOWN: (Severity.MEDIUM, "nothing tells when it was rotated"),
        State.OVERDUE: (Severity.HIGH, f"was to be rotated by {iso(by) if by else ''}"),
    }[state]
    if age.ends_at is not None and age.ends_at <= now:
        severity, said = Severity.CRITICAL, f"has expired at {iso(age.ends_at)}"
    scope = _scope(credential)
    return [
        Finding(
            identity=identity_of(scope, "credential", "age"),
            scope=scope,
            kind="credential",
            severity=severity,
            rule=f"rotation-{state}",
            title=f"{credential.name} {said}",
            location=credential.name,
        )
    ]


def _date_of_file(path: str) -> tuple[datetime, datetime | None, str]:
    """When a certificate begins, and its end; of another file when it was written."""
    place = place_of(path)
    try:
        changed = datetime.fromtimestamp(place.stat().st_mtime, UTC)
    except OSError as error:
        raise IncompleteError(
            f"{place} cannot be looked at: {error.strerror}; correct dated_by, or give the right"
        ) from None
    if (found := certificate_in(place)) is not None:
        return found.begins_at, found.ends_at, f"the certificate in {place}"
    return changed, None, f"the date of {place}"


def _scope(credential: Credential) -> str:
    return f"credential {credential.name}"
