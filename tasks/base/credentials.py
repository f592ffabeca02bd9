"""Which credentials a system has, how old each may become, where it is kept, how it is rotated and proven."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.base.password_places import Arguments, Place, overwritten_in
from tasks.base.secrets import ConnectionString, Reference
from tasks.base.security import AbsolutePath, Slug
from tasks.base.security_check import Endpoint
from tasks.base.words import CheckResult, Frozen, LockPolicy

SESSIONS = ("credential", "pid", "database", "application_name", "client", "began_at", "state")


class CredentialKind(StrEnum):
    """What a credential is."""

    ROLE = "role"
    API_KEY = "api-key"
    SERVICE = "service"
    SSH_KEY = "ssh-key"
    CERTIFICATE = "certificate"


class Command(Frozen):
    """A program that rotates a credential and keeps the new one itself."""

    arguments: Arguments
    environment: dict[str, Reference] = Field(
        default_factory=dict, description="Secrets for it by variable, e.g. {TOKEN: file:/etc/nightshift/token}"
    )
    stdin: Reference | None = Field(default=None, description="A secret for its standard input")
    deadline_seconds: float = Field(default=300, gt=0, description="Ended after this long, in seconds")


class ServedCertificate(Endpoint):
    """A certificate as a server shows it."""

    kind: Literal["served-certificate"]
    ca_file: AbsolutePath | None = Field(default=None, description="Authorities to trust; default: the host's own")


class HttpRequest(Frozen):
    """A request that only a valid credential lets through."""

    kind: Literal["request"]
    url: str = Field(pattern=r"^https?://", description="Asked by GET, redirects are not followed")
    header: str = Field(default="Authorization", description="Name of the header that carries the credential")
    secret: Reference = Field(description="Where the credential is kept after its rotation")
    template: str = Field(default="Bearer {secret}", description="The header's value, {secret} in it")
    expected_status: int = Field(default=200, ge=100, le=599)

    @field_validator("secret")
    @classmethod
    def _may_change(cls, value: str) -> str:
        if value.startswith("env:"):
            raise ValueError("a variable cannot change while a run goes on; write file:/path or secret:BLOCK")
        return value


class ProofCommand(Command):
    """A program that ends with exit code 0 when the credential works."""

    kind: Literal["command"]


Proof = Annotated[ServedCertificate | HttpRequest | ProofCommand, Field(discriminator="kind")]


class Credential(Frozen):
    """One credential."""

    name: Slug = Field(description="How plan, ledger and journal call it")
    kind: CredentialKind
    max_age_days: int | None = Field(
        default=None,
        ge=1,
        le=36500,
        description="It may be this old, in whole days of the system's zone: overdue when that day is over; "
        "a certificate has its own end",
    )
    lead_days: int = Field(
        default=7,
        ge=0,
        le=36500,
        description="It is due this long before that, in days; at least the time between two looks, or it grows "
        "overdue unseen",
    )
    kept_in: str = Field(default="", description="For people: where it is kept, when no place says it")
    by_hand: str = Field(default="", description="For people: how it is rotated, when no role or command does it")
    rotated_at: date | None = Field(default=None, description="Stated date of its last rotation by hand")
    dated_by: AbsolutePath | None = Field(
        default=None, description="A file whose own date tells its age: a key, or a certificate (PEM)"
    )
    database: Slug | None = Field(
        default=None, description="Of the system, for roles; its lock keeps two rotations apart; default: the first"
    )
    role: str | None = Field(default=None, pattern=r"^[^\r\n\x00]{1,63}$", description="The PostgreSQL role")
    place: Place | None = Field(default=None, description="Where the role's password is kept")
    admin_dsn: ConnectionString | None = Field(
        default=None,
        description="Connection to the primary, of a role that may change it; default: the database's lock_dsn or dsn",
    )
    admin_password: Reference | None = Field(default=None, description="Its password, where libpq's places lack it")
    login_dsn: ConnectionString | None = Field(
        default=None,
        description="Connection to the primary that proves the new password, without user; default: the database's "
        "lock_dsn, else its dsn",
    )
    allow_verifier_in_log: bool = Field(
        default=False, description="Rotate also when the server may log the verifier and this role cannot prevent it"
    )
    command: Command | None = Field(default=None, description="Rotates it, when it is no role")
    proof: Proof | None = Field(default=None, description="Proves it after the command")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind is CredentialKind.ROLE) != (self.role is not None):
            raise ValueError("kind 'role' and the field 'role' belong together")
        if self.role is not None and self.place is None:
            raise ValueError("a role needs 'place': where its password is kept")
        if self.role is None and (self.place is not None or self.admin_dsn or self.login_dsn):
            raise ValueError("place, admin_dsn and login_dsn belong to a role")
        if self.role is not None and (self.command or self.proof):
            raise ValueError("a role is rotated and proven by itself: take out 'command' and 'proof'")
        if self.command is not None and self.proof is None:
            raise ValueError("a command needs 'proof': an exit code alone proves nothing")
        if self.max_age_days is None and not self.has_end:
            raise ValueError("write max_age_days; only a certificate with dated_by or a served one has its own end")
        return self

    @property
    def has_end(self) -> bool:
        """True for a certificate that can be read: its end of validity is known."""
        return self.kind is CredentialKind.CERTIFICATE and (self.dated_by is not None or self.served is not None)

    @property
    def is_rotated_here(self) -> bool:
        """True when a run can rotate it; else a person does, and states the date."""
        return self.role is not None or self.command is not None

    @property
    def place_in_words(self) -> str:
        """Where it is kept, as far as the system file says."""
        if self.kept_in or self.place is None:
            return self.kept_in
        values = self.place.model_dump(include={"path", "variable", "reference", "write"}).values()
        return " ".join(str(one[0] if isinstance(one, tuple) else one) for one in values)

    @property
    def overwritten(self) -> tuple[str, ...]:
        """What the rotation of a role changes, in words that are the same for the same thing; of others nothing."""
        if self.role is None or self.place is None:
            return ()
        return f"the role {self.role} of {self.database or 'the first database'}", overwritten_in(self.place, self.role)

    @property
    def served(self) -> ServedCertificate | None:
        """The certificate that a server shows, when that is its proof."""
        return self.proof if isinstance(self.proof, ServedCertificate) else None


class Credentials(Frozen):
    """All credentials of a system."""

    entries: tuple[Credential, ...] = Field(default=(), description="The credentials")
    on_lock: LockPolicy = Field(
        default=LockPolicy.WAIT, description="When another run holds the lock of the credential's database"
    )
    lock_wait_seconds: float = Field(default=600, gt=0, description="How long 'wait' waits, in seconds")

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [one.name for one in self.entries]
        if len(names) != len(set(names)):
            raise ValueError("two credentials have the same name")
        return self

    @model_validator(mode="after")
    def _own_role_and_place(self) -> Self:
        seen: dict[str, str] = {}
        for one in self.entries:
            for thing in one.overwritten:
                if thing in seen:
                    raise ValueError(
                        f"'{seen[thing]}' and '{one.name}' share {thing}: to rotate one would make the other wrong; "
                        "keep one of them"
                    )
                seen[thing] = one.name
        return self


class Rotated(Frozen):
    """What became of one credential, or would."""

    checks: tuple[CheckResult, ...]
    sessions: tuple[dict[str, Any], ...] = Field(default=(), description="Of a role, by the columns of `SESSIONS`")
