"""How old credentials are, and what is due. An age that nothing tells is unknown, and never taken for a young one."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

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
    due_at: datetime | None = Field(default=None, description="From then on it is due")
    must_by: datetime | None = Field(
        default=None, description="When it must have been rotated, in the system's zone; None: that is unknown"
    )
    unread: str = Field(default="", description="Why a source could not be read: the age is then unknown")

    def age_days(self, now: datetime) -> float | None:
        """Its age in days; None when it is unknown."""
        return None if self.rotated_at is None or self.unread else round((now - self.rotated_at) / _DAY, 1)

    def state(self, now: datetime) -> State:
        """Where it stands at that moment."""
        if self.must_by is None or self.due_at is None:
            return State.UNKNOWN
        if self.must_by <= now:
            return State.OVERDUE
        return State.DUE if self.due_at <= now else State.FRESH


def age_of(credential: Credential, rotations: Rotations, zone: ZoneInfo) -> Age:
    """The latest of all dates that are known: the journal's, the stated one, that of the file or certificate.

    A stated date is a day of that zone, and days are counted there.
    """
    dates: list[tuple[datetime, str]] = []
    if (recorded := rotations.rotated_at(credential.name)) is not None:
        dates.append((recorded, "the journal"))
    if credential.rotated_at is not None:
        stated = datetime.combine(credential.rotated_at, time(), zone)
        dates.append((stated.astimezone(UTC), "the date stated in the system file"))
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
    rotated_at, known_by = known if known is not None else (None, "")
    by_age = None
    if rotated_at is not None and credential.max_age_days is not None:
        by_age = _end_of_age(rotated_at, credential.max_age_days, zone)
    by = min((one for one in (by_age, ends) if one is not None), default=None)
    # By the calendar: in a zone, subtracting days goes by its wall clock.
    by = by.astimezone(zone) if by is not None else None
    due = by - timedelta(days=credential.lead_days) if by is not None else None
    return Age(rotated_at=rotated_at, known_by=known_by, ends_at=ends, due_at=due, must_by=by)


def _end_of_age(rotated_at: datetime, max_age_days: int, zone: ZoneInfo) -> datetime:
    """The end of the day on which it reaches that age.

    Whole days of the calendar: neither the hour of a rotation nor a clock change makes one late that is rotated on the
    same day of every month or quarter.
    """
    last_day = rotated_at.astimezone(zone).date() + timedelta(days=max_age_days)
    return datetime.combine(last_day + _DAY, time(), zone)


def scannings(entries: Sequence[Credential], rotations: Rotations, zone: ZoneInfo) -> list[Scanning]:
    """One look at each credential's age, for the ledger."""
    return [(_scope(one), partial(_scan, one, rotations, zone)) for one in entries]


def _scan(credential: Credential, rotations: Rotations, zone: ZoneInfo) -> Scan:
    return as_scan(_scope(credential), "ages", partial(_look, credential, rotations, zone))


def _look(credential: Credential, rotations: Rotations, zone: ZoneInfo) -> list[Finding]:
    """What is wrong with its age: one finding that stays the same one while it grows worse."""
    age, now = age_of(credential, rotations, zone), utc_now()
    if age.unread:
        raise IncompleteError(f"the age of {credential.name} is unknown: {age.unread}")
    state, by = age.state(now), age.must_by
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
