"""Accounts of a host by its files: passwd, shadow, group and login.defs, and the sources that are not files."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from pydantic import Field

from tasks.base.words import Frozen
from tasks.host.root import Root

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LOGIN = re.compile(r"/(nologin|false|sync|shutdown|halt)$")
# Sources of nsswitch.conf that passwd, group and this room know; systemd makes accounts for services of the moment.
_KNOWN_SOURCES = {"files", "systemd", "compat", "altfiles"}
# crypt(5): what a stored password must begin with to be of a kind that still holds.
_STRONG = re.compile(r"^\$(5|6|7|y|gy|2[aby])\$")


class HostAccount(Frozen):
    """One line of passwd with what shadow and group say of it."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    groups: tuple[str, ...] = Field(description="The primary one first")
    password: str = Field(description="none, locked, empty, old, set or unknown; never the stored form itself")
    in_passwd: bool = Field(description="Its stored password stands in passwd, which everyone may read")
    changed_at: datetime | None = Field(default=None, description="Last change of the password")
    expires_at: datetime | None = Field(default=None, description="From when on the account may not log in")

    @property
    def has_shell(self) -> bool:
        """True for a shell that lets somebody work; an empty field means /bin/sh."""
        return not _NO_LOGIN.search(self.shell)

    def expired(self, now: datetime) -> bool:
        """True when the account has expired at that moment."""
        return self.expires_at is not None and self.expires_at <= now


def read_accounts(root: Root) -> list[HostAccount]:
    """All accounts of the files; what is missing or elsewhere is a gap of the root."""
    passwd = root.text("/etc/passwd")
    if passwd is None:
        root.miss("there is no /etc/passwd that can be read; correct the root of this host")
        return []
    _other_sources(root)
    stored, groups, memberships = _shadow(root), *_groups(root)
    found = []
    for number, line in _lines(passwd):
        fields = line.split(":")
        if line[0] in "+-":
            root.miss(f"/etc/passwd line {number} takes accounts from NIS; look there: ypcat passwd")
        elif len(fields) != 7 or not (fields[2].isdigit() and fields[3].isdigit()):
            root.miss(f"/etc/passwd line {number} is not understood; look at it: sudo pwck -r")
        else:
            primary = groups.get(int(fields[3]), fields[3])
            others = sorted(memberships[fields[0]] - {primary})
            found.append(_account(fields, (primary, *others), stored))
    return found


def lowest_person(root: Root) -> int:
    """From which uid on accounts are people's: UID_MIN of login.defs, else 1000."""
    found = re.search(r"^\s*UID_MIN\s+(\d+)", root.text("/etc/login.defs") or "", re.MULTILINE)
    return int(found[1]) if found else 1000


def _account(fields: list[str], groups: tuple[str, ...], shadow: dict[str, list[str]] | None) -> HostAccount:
    name, field, uid, gid, _, home, shell = fields
    line = (shadow or {}).get(name, [])
    in_shadow = field == "x" and shadow is not None
    password = _password(line[1] if line else "!") if in_shadow else "unknown" if field == "x" else _password(field)
    return HostAccount(
        name=name,
        uid=int(uid),
        gid=int(gid),
        home=home,
        shell=shell,
        groups=groups,
        password=password,
        in_passwd=password in ("old", "set") and not in_shadow,
        changed_at=_day(line[2]) if len(line) > 2 else None,
        expires_at=_day(line[7]) if len(line) > 7 else None,
    )


def _password(stored: str) -> str:
    if not stored:
        return "empty"
    if stored in ("*", "!", "!!", "!*", "*LK*", "*NP*"):
        return "none"
    if stored[0] in "!*":
        return "locked"
    return "set" if _STRONG.match(stored) else "old"


def _shadow(root: Root) -> dict[str, list[str]] | None:
    """The lines of shadow by name; None when it cannot be read, which is a gap."""
    text = root.text("/etc/shadow")
    if text is None:
        root.miss("/etc/shadow is not there or cannot be read, so nothing is known of passwords; run as root")
        return None
    return {line.split(":")[0]: line.split(":") for _, line in _lines(text)}


def _groups(root: Root) -> tuple[dict[int, str], defaultdict[str, set[str]]]:
    """Names by gid, and the groups that name an account as their member."""
    names: dict[int, str] = {}
    members: defaultdict[str, set[str]] = defaultdict(set)
    for number, line in _lines(root.text("/etc/group") or ""):
        fields = line.split(":")
        if len(fields) != 4 or not fields[2].isdigit():
            root.miss(f"/etc/group line {number} is not understood; look at it: sudo grpck -r")
            continue
        names.setdefault(int(fields[2]), fields[0])
        for member in filter(None, fields[3].split(",")):
            members[member].add(fields[0])
    return names, members


def _other_sources(root: Root) -> None:
    """Accounts of a directory service are in no file: who reads only the files must say so."""
    for word in ("passwd", "group", "sudoers"):
        found = re.search(rf"^\s*{word}:([^#\n]*)", root.text("/etc/nsswitch.conf") or "", re.MULTILINE)
        others = sorted(set(re.sub(r"\[[^]]*\]", " ", found[1]).split()) - _KNOWN_SOURCES) if found else []
        if others:
            root.miss(f"nsswitch.conf takes {word} from {', '.join(others)} too; review those there: getent {word}")


def _lines(text: str) -> list[tuple[int, str]]:
    return [
        (number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")
    ]


def _day(field: str) -> datetime | None:
    """A day of shadow, counted from 1970; 0 as the last change means "must be changed"."""
    return _EPOCH + timedelta(days=int(field)) if field.isdigit() and int(field) > 0 else None
