"""Requests that differ by ids only, as one group: what each is called, and whether it attacks or logs in."""

import re
from fnmatch import translate

import numpy as np
import numpy.typing as npt

from tasks.base.log_review import LogSource
from tasks.logs.attacks import Attack
from tasks.logs.paths import AttackPaths, normalised, path_of

_PERCENT = ord("%")
_RAW_PATHS = 50_000
_PIECE = 64 * 1024


class RequestGroups(dict[bytes, int]):
    """The group of each request's beginning (method and path): those that differ by ids only share one."""

    def __init__(self, source: LogSource) -> None:
        super().__init__()
        self._attack_paths = AttackPaths(source.attack_paths, source.expected_paths)
        self._is_login = re.compile("|".join(map(translate, source.login_paths)) or r"(?!)", re.IGNORECASE)
        own = " ".join((*source.attack_paths, *source.expected_paths, *source.login_paths))
        # What the system file tells apart by numbers stays apart.
        self.tells_numbers = any(char.isdigit() for char in own)
        self._groups: dict[tuple[str, bool, Attack | None], int] = {}
        self.names: list[str] = []
        self.attacks: list[Attack | None] = []
        self.logins: list[bool] = []
        self._is_attack = np.zeros(0, np.bool_)

    def __missing__(self, request: bytes) -> int:
        group = self[request] = self._group(request)
        return group

    def _group(self, request: bytes) -> int:
        path = request_path(request)
        attack = self._attack_paths.attack(path)
        logs_in = not request.startswith(b"GET ") and self._is_login.match(path) is not None
        name = normalised(path)
        if (name, logs_in, attack) not in self._groups and len(self.names) >= _RAW_PATHS:
            name = "(other paths)"
        group = self._groups.setdefault((name, logs_in, attack), len(self.names))
        if group == len(self.names):
            self.names.append(name)
            self.attacks.append(attack)
            self.logins.append(logs_in)
        return group

    def are_attacks(self, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """For each of these groups whether it is an attack."""
        if len(self._is_attack) < len(self.names):
            self._is_attack = np.array([attack is not None for attack in self.attacks], np.bool_)
        return self._is_attack[groups]

    def forget(self) -> None:
        """Keep memory flat: what is forgotten is found again."""
        if len(self) > _RAW_PATHS:
            self.clear()


def without_numbers(data: npt.NDArray[np.uint8]) -> bytes:
    """The block with 0 for each digit beside another one.

    Most requests of a busy path differ by such numbers only, and no path is shown with one. The two places behind a %
    stay as they are: they are a character.
    """
    # Pieces that stay in a processor's cache cost a tenth; each is looked at with what stands around it.
    pieces = range(0, len(data), _PIECE)
    return b"".join(_zeros(data[max(0, at - 2) : at + _PIECE + 1])[min(at, 2) :][:_PIECE] for at in pieces)


def _zeros(data: npt.NDArray[np.uint8]) -> bytes:
    value = data - np.uint8(48)
    digit = value < np.uint8(10)
    number = np.zeros(len(data), np.bool_)
    np.logical_and(digit[1:], digit[:-1], out=number[1:])
    number[:-1] |= number[1:] & digit[:-1]
    percent = np.flatnonzero(data == _PERCENT)
    number[np.minimum(percent + 1, len(data) - 1)] = number[np.minimum(percent + 2, len(data) - 1)] = False
    # One multiplication of all bytes costs less than to pick those that change.
    return (data - value * number.view(np.uint8)).tobytes()


def request_path(request: bytes) -> str:
    """The path of a request such as `GET /orders?page=2 HTTP/1.1`; - without any."""
    words = request.split(b" ", 2)
    return path_of(words[1].decode(errors="replace")) if len(words) > 1 else "-"
