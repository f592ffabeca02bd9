"""Where the password of a role is kept, as a system file names it, and what a rotation asks of every such place."""

import re
from typing import Annotated, Literal, Protocol

from pydantic import Field, field_validator

from tasks.base.security import AbsolutePath
from tasks.base.words import Frozen

PASSWORD = "{password}"  # noqa: S105 - where the password stands in a template
# What shells, systemd, Docker and .env readers all take as it is.
_UNQUOTED = r"[A-Za-z0-9_@:/.?=&%,+~{}\[\]-]*"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
Arguments = Annotated[
    tuple[str, ...], Field(min_length=1, description="Absolute path of a program, then its arguments; never a secret")
]


class FilePlace(Frozen):
    """A file that holds the password and nothing else."""

    kind: Literal["file"]
    path: AbsolutePath = Field(description="Its absolute path where the run executes")


class PassfilePlace(Frozen):
    """One entry of a libpq password file; the other entries stay as they are."""

    kind: Literal["passfile"]
    path: AbsolutePath = Field(description="The file that PGPASSFILE names")
    host: str = Field(default="*", description="Host of the entry; * for any")
    port: str = Field(default="*", description="Port of the entry; * for any")
    dbname: str = Field(default="*", description="Database of the entry; * for any")


class EnvironmentFilePlace(Frozen):
    """One NAME=value line of a file such as systemd's EnvironmentFile or .env; other lines stay as they are."""

    kind: Literal["env-file"]
    path: AbsolutePath = Field(description="Its absolute path where the run executes")
    variable: str = Field(pattern=_VARIABLE, description="Name of the variable")
    template: str = Field(
        default=PASSWORD, description="The value, {password} in it, e.g. postgresql://app:{password}@db/shop"
    )

    @field_validator("template")
    @classmethod
    def _one_password(cls, value: str) -> str:
        if value.count(PASSWORD) != 1 or not re.fullmatch(_UNQUOTED, value):
            raise ValueError("write {password} once, and nothing that would need quotes in a shell or an env file")
        return value


class BlockPlace(Frozen):
    """A Prefect Secret block."""

    kind: Literal["block"]
    reference: str = Field(pattern=r"^secret:[a-z0-9-]+$", description="The block, e.g. secret:shop-app")


class ProgramPlace(Frozen):
    """Anything else, by a program that takes the password on its standard input."""

    kind: Literal["command"]
    write: Arguments = Field(description="Keeps what stands on its standard input, without a newline; run again safely")
    read: tuple[str, ...] = Field(
        default=(), description="Prints what is kept now; with it the place is proven by reading it back"
    )
    staging: AbsolutePath = Field(
        description="A folder for the new password (a file, mode 0600) until it is proven: what a killed run leaves"
    )
    deadline_seconds: float = Field(default=60, gt=0, description="Ended after this long, in seconds")


Place = Annotated[
    FilePlace | PassfilePlace | EnvironmentFilePlace | BlockPlace | ProgramPlace, Field(discriminator="kind")
]


def overwritten_in(place: Place, role: str) -> str:
    """What a rotation of that role overwrites there, in words that are the same for the same thing."""
    match place:
        case PassfilePlace(path=path, host=host, port=port, dbname=dbname):
            return f"the entry {host}:{port}:{dbname}:{role} of {path}"
        case EnvironmentFilePlace(path=path, variable=variable):
            return f"{variable} of {path}"
        case FilePlace(path=kept) | BlockPlace(reference=kept):
            return kept
        case ProgramPlace(write=write):
            return " ".join(write)


class SecretPlace(Protocol):
    """Where a password is kept, and beside it, while it is rotated, the next one (staged).

    Every method raises a NightshiftError that holds no secret.
    """

    what: str
    staged_at: str
    staged_reference: str

    def check(self) -> None:
        """Raise when it is seen, without writing, that it could not be written or that the entry is not clear."""

    def read(self) -> str | None:
        """The password that is kept; None when there is none, or the place cannot be read back (`readable`)."""

    @property
    def readable(self) -> bool:
        """True when `read` tells what is kept."""

    def write(self, password: str) -> None:
        """Keep this one from now on: what was there stays until it is there whole."""

    def staged(self) -> str | None:
        """The password that a rotation put beside; None when no rotation is under way."""

    def stage(self, password: str) -> None:
        """Put it beside, durably."""

    def unstage(self) -> None:
        """Remove what was put beside; nothing there is no error."""
