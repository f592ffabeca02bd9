"""What the catalogs hold beside rows: definitions, rights, owners, roles, settings, as the hash of a canonical text."""

import re
from collections.abc import Iterable
from hashlib import sha256

from tasks.postgres import queries
from tasks.postgres.fingerprint.session import Reader

# Roles belong to the whole server; no snapshot of one database holds them still while pg_dumpall reads them.
_OF_THE_SERVER = ("objects/roles", "passwords")
_OF_THE_SERVER_KINDS = ("role ", "membership ", "options of membership ", "setting ", "password of role ")
_PASSWORD = "password of role "  # noqa: S105 - the name of a kind
# `x IN ('a', 'b')` on a varchar is written as the first by the server that parsed it, and as the second by one that
# read the first from a dump. Both mean the same.
_LITERAL = r"'(?:[^']|'')*'"
_CAST_OF_LIST = re.compile(
    rf"\(ARRAY\[({_LITERAL}::character varying(?:, {_LITERAL}::character varying)*)\]\)::text\[\]"
)
_CAST_IN_LIST = re.compile(rf"({_LITERAL}::character varying)(, )?")


def read_definitions(session: Reader, role_passwords: bool) -> dict[str, str]:
    """'kind identity' of everything in the database and of the server's roles, with the SHA-256 of its definition."""
    return _read(session, (*queries.names("objects"), *(("passwords",) if role_passwords else ())))


def changed_between(before: dict[str, str], session: Reader) -> list[str]:
    """Which roles, memberships, settings and passwords are other now, new, or gone."""
    now = _read(session, _OF_THE_SERVER if has_passwords(before) else _OF_THE_SERVER[:1])
    then = {name: digest for name, digest in before.items() if name.startswith(_OF_THE_SERVER_KINDS)}
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def has_passwords(definitions: Iterable[str]) -> bool:
    """Whether password verifiers are among them."""
    return any(name.startswith(_PASSWORD) for name in definitions)


def canonical(definition: str) -> str:
    """The text that is the same for every server of a version, whether it parsed the definition or restored it."""
    return _CAST_OF_LIST.sub(lambda found: "ARRAY[" + _CAST_IN_LIST.sub(r"(\1)::text\2", found[1]) + "]", definition)


def _read(session: Reader, names: Iterable[str]) -> dict[str, str]:
    return {
        f"{kind} {identity}": sha256(canonical(str(definition)).encode()).hexdigest()
        for name in names
        for kind, identity, definition in session.execute(queries.load(name)).fetchall()
    }
