"""Whose accounts and rights are audited and reviewed: the `access` part of a system file."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.base.capacity import Label
from tasks.base.security import AbsolutePath, Slug
from tasks.base.words import Frozen

Pattern = Annotated[AbsolutePath, Field(description="Absolute path below the host's root, wildcards allowed")]


class SecretFiles(Frozen):
    """Files that hold secrets, and who may touch them."""

    path: Pattern
    mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        default="0600", description="Rights that such a file may have at most, octal"
    )
    owner: str | None = Field(default=None, description="Account that must own them; default: any")


class HostAccess(Frozen):
    """A host whose accounts, sudo rights, SSH keys and secret files are read from its files."""

    name: Slug = Field(description="How findings name it")
    root: AbsolutePath = Field(default="/", description="Its root folder where the run executes")
    unused_days: int | None = Field(
        default=None, ge=1, description="An account not seen for so many days is a finding, in days; default: not asked"
    )
    key_days: int | None = Field(
        default=None, ge=1, description="An SSH key that is older is a finding, in days; default: not asked"
    )
    private_keys: tuple[Pattern, ...] = Field(
        default=(), description="Private keys that must have a passphrase, e.g. /home/*/.ssh/id_*"
    )
    secrets: tuple[SecretFiles, ...] = Field(default=(), description="Files with secrets, by path")


class AccessPolicy(Frozen):
    """What is looked at beside the databases, and when a review counts as forgotten."""

    hosts: tuple[HostAccess, ...] = Field(default=(), description="Hosts, each by its root folder")
    clusters: tuple[Label, ...] = Field(
        default=(), description="Names of capacity.clusters whose roles and bindings are read"
    )
    unused_role_days: int | None = Field(
        default=None,
        ge=1,
        description="A role without session or statement for so many days is a finding, in days; default: not asked",
    )
    sign_off_days: int = Field(
        default=14, ge=1, description="A review that nobody has signed after so many days is FAIL, in days"
    )

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for names in ([one.name for one in self.hosts], list(self.clusters)):
            if len(names) != len(set(names)):
                raise ValueError("a host or cluster stands twice; findings would be mixed")
        return self
