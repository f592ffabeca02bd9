"""Entries of a libpq password file: host:port:database:user:password, the first that matches wins.

Source of the rules: PostgreSQL's documentation, "The Password File", and libpq's passwordFromFile.
"""

import re

from tasks.base.errors import ConfigurationError

ANY = "*"
_WILDCARD = (True, ANY)
_FIELD = r"((?:\\.|[^\\:])*)"
_LINE = re.compile(rf"(?!#){_FIELD}:{_FIELD}:{_FIELD}:{_FIELD}:((?:\\.|[^\\:]|\\$)*)")
# Host, port, database and user as they stand in the file, escapes included.
Entry = tuple[str, str, str, str]


def entry_of(host: str, port: str, dbname: str, user: str) -> Entry:
    """The four fields with their escapes; * stays the wildcard, except as the name of a user."""
    host, port, dbname = (ANY if field == ANY else _escaped(field) for field in (host, port, dbname))
    # A line that begins with # is a comment.
    host = "\\" + host if host.startswith("#") else host
    return host, port, dbname, r"\*" if user == ANY else _escaped(user)


def password_in(text: str, entry: Entry) -> str | None:
    """The password of exactly this entry; None when there is none. Raises ConfigurationError as `with_password`."""
    lines = text.split("\n")
    place, found = _place_of(lines, entry)
    if not found:
        return None
    match = _parsed(lines[place])
    return _plain(match[5]) if match else None


def with_password(text: str, entry: Entry, password: str) -> str:
    """The file with this entry's password; every other line stays as it is.

    A new entry stands before the first line that would win over it, so that no other entry changes its meaning.
    Raises ConfigurationError when an earlier line wins over the entry that is there.
    """
    lines = text.split("\n")
    place, found = _place_of(lines, entry)
    line = ":".join([*entry, _escaped(password)])
    if found:
        lines[place] = line + ("\r" if lines[place].endswith("\r") else "")
    elif place < len(lines):
        lines.insert(place, line)
    elif lines[-1]:
        lines += [line, ""]
    else:
        lines[-1:] = [line, ""]
    return "\n".join(lines)


def _place_of(lines: list[str], entry: Entry) -> tuple[int, bool]:
    """Where the entry stands; or where it belongs, and False."""
    wanted = [_key(field) for field in entry]
    winning = None
    for number, line in enumerate(lines):
        match = _parsed(line)
        if match is None:
            continue
        fields = [_key(match[place]) for place in range(1, 5)]
        if fields == wanted:
            if winning is not None:
                raise ConfigurationError(
                    f"line {winning + 1} of the password file wins over the entry in line {number + 1}, so that libpq "
                    "never reads it; move the narrower entry to the top"
                )
            return number, True
        wins = all(theirs in (mine, _WILDCARD) for mine, theirs in zip(wanted, fields, strict=True))
        if wins and winning is None:
            winning = number
    return len(lines) if winning is None else winning, False


def _parsed(line: str) -> re.Match[str] | None:
    return _LINE.match(line.rstrip("\r"))


def _key(field: str) -> tuple[bool, str]:
    """Whether it is the wildcard, and what it says without escapes."""
    return field == ANY, _plain(field)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", r"\:")


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
