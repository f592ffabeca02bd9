"""What sudo lets whom do: sudoers with everything that it includes, aliases resolved; see sudoers(5)."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import Field

from tasks.base.words import Frozen
from tasks.host.root import Root

_DEPTH = 8
_ITEM = r'!*\s*(?:[%+#:]*"[^"]*"|(?:\\.|[^\s,=:()"\\])+)'
_LIST = rf"{_ITEM}(?:\s*,\s*{_ITEM})*"
_SPEC = re.compile(rf"^({_LIST})\s+(.+)$")
_PRIVILEGE = re.compile(rf"^({_LIST})\s*=\s*(.+)$")
_NEXT = re.compile(rf"\s*(?<!\\):\s*(?={_LIST}\s*=)")
_ALIAS = re.compile(r"^(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.+)$")
_INCLUDE = re.compile(r'^[@#](include|includedir)\s+"?([^"]+?)"?$')
_OPTION = re.compile(r"^(?:ROLE|TYPE|APPARMOR_PROFILE|PRIVS|LIMITPRIVS|CWD|CHROOT|TIMEOUT|NOTBEFORE|NOTAFTER)=\S+\s*")
_TAG = re.compile(r"^(NO)?(PASSWD|EXEC|SETENV|LOG_INPUT|LOG_OUTPUT|MAIL|FOLLOW|INTERCEPT):\s*")
_DIGEST = re.compile(r"^(?:sha(?:224|256|384|512):\S+\s*,?\s*)+")


class Grant(Frozen):
    """One command that one name may run."""

    who: str = Field(description="An account, %group, +netgroup, #uid or ALL")
    hosts: str
    run_as: str
    command: str
    without_password: bool
    place: str = Field(description="File and line")

    @property
    def is_all(self) -> bool:
        """True for every command as root."""
        users = self.run_as.partition(":")[0].split(", ")
        return self.command == "ALL" and not {"root", "ALL", "#0"}.isdisjoint(users)

    @property
    def in_words(self) -> str:
        """As a person reads it in a list of rights."""
        where = "" if self.hosts == "ALL" else f" on {self.hosts}"
        free = " without password" if self.without_password else ""
        return f"sudo {self.command} as {self.run_as}{where}{free}"


class Sudoers:
    """All grants of a host, and what Defaults take away from them."""

    def __init__(self, root: Root) -> None:
        self.grants: list[Grant] = []
        self.unasked: list[str] = []  # Defaults lines that switch the password off
        self.target_password = False
        self._root = root
        self._aliases: dict[str, list[str]] = {}
        specs = []
        for place, line in self._lines("/etc/sudoers", 0):
            alias = _ALIAS.match(line)
            if alias:
                self._alias(place, alias[2])
            elif re.match(r"^Defaults\b|^Defaults[@:!>]", line):
                self._defaults(line)
            else:
                specs.append((place, line))
        for place, line in specs:
            self._spec(place, line)

    def _lines(self, path: str, depth: int) -> Iterator[tuple[str, str]]:
        """Every line with its place, continued ones joined, comments gone, includes in their places."""
        text = self._root.text(path)
        if text is None or depth > _DEPTH:
            return
        number, rest = 0, ""
        for number, raw in enumerate(text.splitlines(), 1):
            line = rest + raw
            if raw.endswith("\\"):
                rest = line[:-1]
                continue
            rest = ""
            include = _INCLUDE.match(line.strip())
            if include:
                for one in self._included(path, include[1], include[2]):
                    yield from self._lines(one, depth + 1)
                continue
            # A number sign begins a comment unless it is a uid.
            line = re.sub(r"(?<!\\)#(?!-?\d).*$", "", line).strip()
            if line:
                yield f"{path} line {number}", line
        if rest.strip():
            yield f"{path} line {number}", rest.strip()

    def _included(self, path: str, how: str, named: str) -> list[str]:
        if "%h" in named:
            self._root.miss(f"{path} includes {named} by the host's name; read it with: sudo -l -U NAME")
            return []
        target = str(PurePosixPath(path).parent / named)
        if how == "include":
            return [target]
        names = self._root.names(target)
        return [f"{target}/{name}" for name in names if "." not in name and not name.endswith("~")]

    def _alias(self, place: str, text: str) -> None:
        for definition in re.split(r"\s*(?<!\\):\s*(?=[A-Z][A-Z0-9_]*\s*=)", text):
            name, sign, values = definition.partition("=")
            if not sign:
                self._root.miss(f"{place} is not understood; look at it: sudo visudo -c")
            self._aliases[name.strip()] = _split(values)

    def _defaults(self, line: str) -> None:
        if re.search(r"!\s*authenticate\b", line):
            self.unasked.append(line.split(maxsplit=1)[0])
        self.target_password |= bool(re.search(r"(?<!!)\b(targetpw|rootpw|runaspw)\b", line))

    def _spec(self, place: str, line: str) -> None:
        spec = _SPEC.match(line)
        parts = [_PRIVILEGE.match(one) for one in _NEXT.split(spec[2])] if spec else [None]
        if spec is None or None in parts:
            self._root.miss(f"{place} is not understood; look at it: sudo visudo -c")
            return
        for who in self._resolved(_split(spec[1])):
            if who.startswith("+"):
                self._root.miss(f"{place} names the netgroup {who}, whose members are in no file: getent netgroup")
            for part in filter(None, parts):
                self.grants += self._grants(place, who.strip('"').replace('"', ""), part[1], part[2])

    def _grants(self, place: str, who: str, hosts: str, commands: str) -> Iterator[Grant]:
        """One grant a command; who to run as and the tags hold for all commands behind them too."""
        run_as, without_password = "root", False
        for one in _split(commands):
            rest = one
            named = re.match(r"^\(([^)]*)\)\s*", rest)
            if named:
                users, colon, groups = named[1].partition(":")
                run_as = ", ".join(self._resolved(_split(users))) + "".join((colon + groups).split()) or "itself"
                rest = rest[named.end() :]
            while found := _OPTION.match(rest) or _TAG.match(rest):
                if found.re is _TAG and found[2] == "PASSWD":
                    without_password = bool(found[1])
                rest = rest[found.end() :]
            for command in self._resolved([_DIGEST.sub("", rest).strip()]):
                yield Grant(
                    who=who,
                    hosts=", ".join(self._resolved(_split(hosts))),
                    run_as=run_as,
                    command=command,
                    without_password=without_password,
                    place=place,
                )

    def _resolved(self, names: list[str], depth: int = 0) -> list[str]:
        """The names with aliases replaced by what they stand for; a '!' before an alias holds for all of it."""
        found = []
        for name in names:
            sign = "!" if name.startswith("!") else ""
            inside = self._aliases.get(name.removeprefix("!").strip())
            if inside is None or depth > _DEPTH:
                found.append(name)
            else:
                found += [sign + one if sign else one for one in self._resolved(inside, depth + 1)]
        return found


def _split(text: str) -> list[str]:
    """The items between commas; not at those that are escaped, quoted or inside (…)."""
    parts = re.findall(r'(?:\\.|"[^"]*"|\([^)]*\)|[^,\\"(])+', text)
    return [part.strip() for part in parts if part.strip()]
