"""What is to be rotated now, and what a person reads of all credentials."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from tasks.base.attachments import Table
from tasks.base.clock import iso, utc_now
from tasks.base.credentials import SESSIONS, Credential, Rotated
from tasks.base.errors import ConfigurationError, NightshiftError
from tasks.base.system import System
from tasks.base.words import CheckResult, FlowResult, Frozen, Verdict
from tasks.credentials.ages import Age, State, age_of
from tasks.credentials.places import place_of_password
from tasks.repository.rotations import Rotations, Step

Row = dict[str, Any]


class Standing(Frozen):
    """Where one credential stands now."""

    credential: Credential
    age: Age
    state: State
    interrupted: bool = Field(description="By the journal: a rotation began and nobody recorded its end")
    failed: str = Field(description="How its last rotation failed; empty: it did not, or a date was stated since")
    left_beside: bool = Field(description="A password of an earlier rotation still lies beside the place")
    named: bool = Field(description="By a person, so that its age does not matter")

    @property
    def is_due(self) -> bool:
        """True for what gets a new one: named by a person, due by its age, interrupted, or failed before."""
        return self.named or self.interrupted or bool(self.failed) or self.state in (State.DUE, State.OVERDUE)

    @property
    def trouble(self) -> str:
        """What a former rotation left open, in words; empty when nothing."""
        if self.interrupted or self.left_beside:
            return "a rotation of it was interrupted"
        return f"its last rotation failed ({self.failed}), so that it may not work" if self.failed else ""

    @property
    def is_to_be_rotated(self) -> bool:
        """True for what a run works on."""
        return (self.is_due or self.left_beside) and self.credential.is_rotated_here


class RotationResult(FlowResult):
    """One row per credential."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "credential",
        "kind",
        "state",
        "rotated_at",
        "known_by",
        "age_days",
        "max_age_days",
        "must_by",
        "rotated_by",
        "kept_in",
        "outcome",
        "next",
    )
    rows: tuple[Row, ...] = ()
    sessions: tuple[Row, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The credentials as the system file names them."""
        return list(self.rows)

    @property
    def attachments(self) -> tuple[Table, ...]:
        """The sessions that go on under an old password."""
        title = "Sessions of the roles, which go on under the password that they began with"
        return (Table(name="sessions", title=title, header=SESSIONS, rows=self.sessions),) if self.sessions else ()


def standings(system: System, rotations: Rotations, patterns: Sequence[str]) -> list[Standing]:
    """Where the named credentials stand, or all when none is named. Raises ConfigurationError for an unknown name."""
    entries = system.credentials.entries
    for pattern in patterns:
        if not any(fnmatchcase(one.name, pattern) for one in entries):
            known = ", ".join(one.name for one in entries) or "none"
            raise ConfigurationError(f"system '{system.name}' has no credential '{pattern}'; it has: {known}")
    chosen = [one for one in entries if not patterns or any(fnmatchcase(one.name, name) for name in patterns)]
    return [_standing(system, one, rotations, named=bool(patterns)) for one in chosen]


def result_of(
    system: System,
    facts: Mapping[str, Any],
    found: Sequence[Standing],
    outcomes: Mapping[str, Rotated],
    ledger: Sequence[Row],
    *,
    dry_run: bool,
) -> RotationResult:
    """The report: what was rotated or planned, then every age, then what the ledger calls overdue."""
    checks = [check for one in outcomes.values() for check in one.checks]
    checks += [_age_check(system, one) for one in found] or [_nothing_named(system)]
    return RotationResult(
        **facts,
        checks=(*checks, *_overdue(ledger, {one.credential.name for one in found})),
        rows=tuple(_row(system, one, outcomes.get(one.credential.name)) for one in found),
        sessions=tuple(row for one in outcomes.values() for row in one.sessions),
        dry_run=dry_run,
    )


def _overdue(ledger: Sequence[Row], names: set[str]) -> list[CheckResult]:
    """FAIL for credentials whose finding is past its deadline in the ledger."""
    late = [row for row in ledger if row["kind"] == "credential" and row["status"] == "overdue"]
    return [
        CheckResult(
            name="overdue",
            target=str(row["location"]),
            verdict=Verdict.FAIL,
            message=f"{row['title']}, found {row['first_seen']}, {row['overdue_hours']} h past the ledger's deadline",
        )
        for row in late
        if row["location"] in names
    ]


def _nothing_named(system: System) -> CheckResult:
    message = "the system file names no credential, so no age is known; see docs/credential_rotation.md"
    return CheckResult(name="age", target=system.name, verdict=Verdict.SKIP, message=message)


def command_for(system: System, credential: Credential) -> str:
    """The command that shows how one credential stands, and what keeps it from being rotated."""
    return f"nightshift run credential_rotation system={system.name} credentials={credential.name}"


def _standing(system: System, credential: Credential, rotations: Rotations, *, named: bool) -> Standing:
    age = age_of(credential, rotations, ZoneInfo(system.timezone))
    return Standing(
        credential=credential,
        age=age,
        state=age.state(utc_now()),
        interrupted=rotations.interrupted(credential.name) is not None,
        failed=_failed(credential, rotations),
        left_beside=_left_beside(system.name, credential),
        named=named,
    )


def _failed(credential: Credential, rotations: Rotations) -> str:
    last = rotations.unsettled(credential.name)
    if last is None or last.step is not Step.FAILED:
        return ""
    settled = credential.rotated_at is not None and credential.rotated_at >= last.at.date()
    return "" if settled else last.detail


def _left_beside(system: str, credential: Credential) -> bool:
    """A place that cannot be read leaves this open: its rotation says so."""
    if credential.role is None:
        return False
    try:
        return place_of_password(system, credential).staged() is not None
    except NightshiftError:
        return False


def _age_check(system: System, one: Standing) -> CheckResult:
    credential, age = one.credential, one.age
    verdict = Verdict.OK if one.state is State.FRESH else Verdict.WARN
    days = age.age_days(utc_now())
    message = f"{_days(days)}, by {age.known_by}; to be rotated before {_when(age.must_by)}"
    if age.unread:
        verdict, message = Verdict.INCOMPLETE, f"its age is unknown: {age.unread}"
    elif one.state is State.UNKNOWN:
        verdict, message = (
            Verdict.SKIP,
            "its age is unknown: no run rotated it, and no date is stated (rotated_at, dated_by)",
        )
    elif one.state is State.OVERDUE:
        message = f"overdue since {_when(age.must_by)}: {_days(days)}, by {age.known_by}"
    if one.trouble:
        verdict, message = Verdict.worst([verdict, Verdict.WARN]), f"{one.trouble}; {message}"
    return CheckResult(
        name="age",
        target=credential.name,
        verdict=verdict,
        message=message,
        value=days,
        unit="days" if days is not None else "",
        threshold=credential.max_age_days,
        next_command="" if verdict is Verdict.OK else _next(system, credential),
    )


def _row(system: System, one: Standing, outcome: Rotated | None) -> Row:
    credential, age = one.credential, one.age
    way = "role" if credential.role else "command" if credential.command else "hand"
    trouble = "failed" if one.failed else "interrupted" if one.trouble else ""
    needs = one.state is not State.FRESH or trouble
    return {
        "credential": credential.name,
        "kind": str(credential.kind),
        "state": trouble or str(one.state),
        "rotated_at": iso(age.rotated_at) if age.rotated_at and not age.unread else "",
        "known_by": age.known_by,
        "age_days": age.age_days(utc_now()),
        "max_age_days": credential.max_age_days,
        "must_by": iso(age.must_by) if age.must_by else "",
        "rotated_by": way,
        "kept_in": credential.place_in_words,
        "outcome": "; ".join(f"{check.verdict}: {check.message}" for check in (outcome.checks if outcome else ())),
        "next": _next(system, credential) if needs else "",
    }


def _next(system: System, credential: Credential) -> str:
    if credential.is_rotated_here:
        return f"{command_for(system, credential)} dry_run=false"
    return f"{credential.by_hand or 'rotate it by hand'}; then set rotated_at of {credential.name} in the system file"


def _days(days: float | None) -> str:
    return "of unknown age" if days is None else f"{days:g} days old"


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}" if moment else "an unknown day"
