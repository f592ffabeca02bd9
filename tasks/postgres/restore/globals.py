"""The globals of a backup: which roles they hold, which of them a server lacks, and what makes those."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tasks.postgres.restore.statements import Statement, statements, unquoted

# A grantor must be there and hold the right himself; without one it is whoever restores.
GRANTED_BY = re.compile(rb" GRANTED BY (\"(?:[^\"]|\"\")*\"|[^ ;]+);")
_OF_ROLES = "grant on ", "default privileges "


@dataclass(frozen=True)
class Globals:
    """The statements of pg_dumpall, each with the role that it makes or changes."""

    of_roles: tuple[tuple[str, Statement], ...]

    @property
    def roles(self) -> frozenset[str]:
        """All that are made by them."""
        return frozenset(role for role, one in self.of_roles if one.starts("CREATE", "ROLE"))

    def superusers(self, names: Collection[str]) -> list[str]:
        """Those of the names that would be superusers."""
        return sorted(role for role, one in self.of_roles if role in names and "SUPERUSER" in one.words)

    def without_password(self, names: Collection[str]) -> list[str]:
        """Those of the names that may log in and have no password in the backup."""
        found = [(role, one.words) for role, one in self.of_roles if role in names and "LOGIN" in one.words]
        return sorted(role for role, words in found if "PASSWORD" not in words)

    def making(self, names: Collection[str]) -> list[str]:
        """The statements that make these roles, with their memberships and settings; no other role is changed."""
        texts = [one.text for role, one in self.of_roles if role in names]
        return [GRANTED_BY.sub(b";", text.encode()).decode() for text in texts]


def read_globals(script: str) -> Globals:
    """What pg_dumpall --globals-only wrote; tablespaces and rights on parameters of the server are left out."""
    found = []
    for one in statements(script):
        role = _role_of(one)
        if role is not None:
            found.append((unquoted(role), one))
    return Globals(tuple(found))


def _role_of(one: Statement) -> str | None:
    words = one.words
    if words[:2] in (("CREATE", "ROLE"), ("ALTER", "ROLE")):
        return words[2]
    if words[0] in ("COMMENT", "SECURITY") and "ROLE" in words:
        return words[words.index("ROLE") + 1]
    # GRANT role TO member: the member is who is changed.
    return words[3] if words[0] == "GRANT" and words[2] == "TO" else None


def needed(missing: Iterable[str], contents: Sequence[str], objects: Iterable[str]) -> list[str]:
    """Those of the missing roles that a backup is known to need.

    `contents` are the lines of its table of contents, each of which ends with the owner; `objects` the names of what
    its fingerprint holds, among them who was granted what. What a policy names shows in neither.
    """
    names = list(objects)
    return sorted(
        role
        for role in missing
        if any(line.endswith(f" {role}") for line in contents) or any(_names(one, role) for one in names)
    )


def owners(roles: Iterable[str], contents: Sequence[str]) -> list[str]:
    """Those of the roles that own something in it."""
    return sorted(role for role in roles if any(line.endswith(f" {role}") for line in contents))


def _names(one: str, role: str) -> bool:
    return (
        (one.startswith(_OF_ROLES) and one.endswith(f" to {role}"))
        or (one.startswith("setting ") and one.endswith(f" for {role}"))
        or one.startswith(tuple(f"{kind} {role} " for kind in ("default privileges of", "user mapping")))
    )
