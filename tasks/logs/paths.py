"""Paths of requests as they may be shown: without query strings, ids and tokens; and whether they are attacks."""

import re
from fnmatch import translate
from urllib.parse import unquote

from tasks.logs.attacks import ATTACKS, Attack

_DEPTH, _LONGEST = 6, 160
_WORD = re.compile(r"[A-Za-z_.~@:-]{1,32}$")
_VERSION = re.compile(r"(?:v\d|oauth2|s3)$", re.IGNORECASE)
_SWITCH = re.compile(r"[a-z][A-Z]")
# What stands behind these is nobody's business, whatever it looks like.
_BEFORE_SECRETS = frozenset(
    "activate api-key apikey auth confirm download-token invite invitation key magic magic-link password reset "  # noqa: SIM905
    "reset-password secret session share signature sso ticket token tokens unsubscribe user users verify".split()
)
_AUTHORITY = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^/]*")


class AttackPaths:
    """Which paths are attacks: the known ones, those of the system file, without the expected ones."""

    def __init__(self, further: tuple[str, ...], expected: tuple[str, ...]) -> None:
        own = [
            Attack("of the system file", translate(pattern), "log_review.sources.attack_paths", is_a_leak=True)
            for pattern in further
        ]
        known = "|".join(f"(?:{one.pattern})" for one in ATTACKS)
        self._any = re.compile("|".join([known, *(f"(?:^(?:{one.pattern}))" for one in own)]))
        self._expected = re.compile("|".join(map(translate, expected)) or r"(?!)")
        self._each = [(one, re.compile(one.pattern)) for one in (*ATTACKS, *own)]

    def is_expected(self, path: str) -> bool:
        """True for a path that the system file says is served here on purpose."""
        return self._expected.match(path.lower()) is not None

    def attack(self, path: str) -> Attack | None:
        """What the path, without its query, is an attack of; None for an ordinary one."""
        path = path.lower()
        decoded = unquote(path) if "%" in path else path
        if self._any.search(decoded) is None and (decoded is path or self._any.search(path) is None):
            return None
        if self.is_expected(decoded):
            return None
        return next((one for one, pattern in self._each if pattern.search(decoded) or pattern.search(path)), None)


def path_of(target: str) -> str:
    """The path of a request's target: no query, no fragment, no scheme, no host, no path parameters."""
    path = target.split("?", 1)[0].split("#", 1)[0].split(";", 1)[0]
    if not path.startswith("/"):
        path = _AUTHORITY.sub("", path, count=1) or "/"
        path = path if path.startswith("/") else "-"
    return path


def normalised(path: str) -> str:
    """The path with `:id` for each part that may be an id or a token, a few parts at most, e.g. /orders/:id/items."""
    parts = path.split("/")
    shown = []
    before = ""
    for part in parts[: _DEPTH + 1]:
        shown.append(part if _is_word(part) and before not in _BEFORE_SECRETS else ":id" if part else "")
        before = part.lower()
    return ("/".join(shown) + ("/…" if len(parts) > _DEPTH + 1 else ""))[:_LONGEST]


def shown_attack(path: str) -> str:
    """An attacked path as it may be shown: its last part tells what was asked for."""
    folder, _, last = path.rpartition("/")
    plain = "".join(char if "!" <= char <= "~" else "?" for char in last[:80])
    return f"{normalised(folder)}/{plain}"[-_LONGEST:]


def _is_word(part: str) -> bool:
    if not part:
        return True
    if _WORD.match(part):
        # Upper and lower case by turns make no word: it is a token of letters only.
        return "@" not in part and len(_SWITCH.findall(part)) < 3
    return _VERSION.match(part) is not None
