"""Logins in the lines of sshd and of applications: who, from where, and whether it failed.

Sources of sshd's wording: OpenSSH, auth.c and auth2.c; of rsyslog's "message repeated": its omfile documentation.
"""

import re
from collections import OrderedDict
from typing import NamedTuple

from tasks.logs.tally import INVALID_USER

# The user's name is whatever somebody sent: the address counts from the line's end.
_ADDRESS = r" from (?P<source>\S+) port \d+(?: ssh2)?(?:: .*)?$"
_FAILED = re.compile(rf"Failed (?P<method>[\w/-]+) for (?P<invalid>invalid user )?(?P<user>.*){_ADDRESS}")
_INVALID = re.compile(r"Invalid user (?P<user>.*) from (?P<source>\S+)(?: port (?P<port>\d+))?$")
_ACCEPTED = re.compile(rf"Accepted (?P<method>[\w/-]+) for (?P<user>.*){_ADDRESS}")
_REPEATED = re.compile(r"message repeated (\d{1,6}) times: \[ (.*)\]$")
_PROGRAM = re.compile(r"(?:\S+ )?(?P<program>sshd(?:-session|-auth)?|sudo|su)(?:\[\d+\])?: +(?P<message>.*)$")
_SUDO = re.compile(r"(?P<user>\S+) : (?P<count>\d{1,3}) incorrect password attempts?")
_SU = re.compile(r"FAILED SU \(to \S+\) (?P<user>\S+) on")
# Applications have no common wording; these are what most of them say, and what the runbooks look for.
_BUILT_IN = re.compile(
    r"(?i)\bfailed (?:login|log-in|logon|sign-in|password|authentication)|"
    r"\b(?:login|log-in|logon|sign-?in|authentication) "
    r"(?:has )?(?:failed|failure|denied|rejected)|\binvalid (?:credentials?|username or password|login|password)|"
    r"\bbad credentials|\bauthentication failure"
)
# Each usual wording has one of these.
_WORDS = ("login", "log-in", "logon", "logged in", "signin", "sign-in", "password", "authentication", "credential")
_LOGGED_IN = re.compile(
    r"(?i)\b(?:login|log-in|sign-?in|authentication) (?:succe\w+|ok)\b|\blogged in\b|\bsuccessful login"
)
_NAME = r"(?P<user>[\w.@+-]{1,64})"
# The surest first: user=ada, "user": "ada"; user "ada"; for user ada; for ada from.
_USERS = tuple(
    re.compile(rf"(?i){pattern}")
    for pattern in (
        rf"\b(?:user(?:_?name|_?id)?|login|account|email)[\"']?\s*[=:]\s*[\"']?{_NAME}",
        rf"\b(?:user|username|account|role) [\"']{_NAME}[\"']",
        rf"\bfor (?:user|username|account) {_NAME}",
        rf"\bfor [\"']?{_NAME}[\"']? (?:from|at|on|\()",
    )
)
_SOURCES = (
    re.compile(
        r"(?i)\b(?:ip|ip_?addr(?:ess)?|from|client(?:_ip)?|remote(?:_addr|_ip|_host)?|rhost|source|addr(?:ess)?|host)\b[\"']?"
        r"\s*(?:[=:]\s*|\s)[\"']?(?P<source>(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:.]{2,})"
    ),
)
_SESSIONS = 4096


class Login(NamedTuple):
    """One login, or several that failed alike."""

    failed: bool
    user: str
    source: str
    number: int = 1


class Sshd:
    """The logins of auth.log: sshd, sudo and su. What sshd says twice of one attempt counts once."""

    def __init__(self) -> None:
        # Connections of users that do not exist, which sshd names before the password fails.
        self._invalid: OrderedDict[tuple[str, str], None] = OrderedDict()

    def login(self, text: str) -> Login | None:
        """What stands behind a line's time and host; None when it is no login."""
        program = _PROGRAM.match(text)
        if program is None:
            return None
        message, count = program["message"], 1
        if program["program"] in ("sudo", "su"):
            failed = _SUDO.match(message) or _SU.match(message)
            times = int(failed.groupdict().get("count") or 1) if failed else 0
            return Login(True, failed["user"], "", times) if failed else None
        repeated = _REPEATED.match(message)
        if repeated is not None:
            count, message = int(repeated[1]), repeated[2]
        accepted = _ACCEPTED.match(message)
        if accepted is not None:
            return Login(False, accepted["user"], accepted["source"])
        return self._failed(message, count)

    def _failed(self, message: str, count: int) -> Login | None:
        invalid = _INVALID.match(message)
        if invalid is not None:
            self._invalid[invalid["source"], invalid["port"] or ""] = None
            if len(self._invalid) > _SESSIONS:
                self._invalid.popitem(last=False)
            return Login(True, INVALID_USER, invalid["source"], count)
        failed = _FAILED.match(message)
        # A client tries its keys one after another: a key that does not fit is no failed login.
        if failed is None or failed["method"] == "publickey":
            return None
        if failed["invalid"]:
            port = re.search(r" port (\d+)", message[failed.end("source") :])
            if (failed["source"], port[1] if port else "") in self._invalid:
                del self._invalid[failed["source"], port[1] if port else ""]
                count -= 1
        user = INVALID_USER if failed["invalid"] else failed["user"]
        return Login(True, user, failed["source"], count) if count else None


class Application:
    """The logins of an application, by the expressions of the system file and, with `usual`, by usual wording."""

    def __init__(self, patterns: tuple[str, ...], *, usual: bool = True) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._usual = usual

    def login(self, text: str) -> Login | None:
        """The login that a line tells; None when it tells none."""
        for pattern in self._patterns:
            found = pattern.search(text)
            if found is not None:
                named = found.groupdict()
                return Login(True, named.get("user") or _in(_USERS, text), named.get("source") or _in(_SOURCES, text))
        # To look for words costs a tenth of what the expressions do, and nearly no line has one.
        lower = text.lower()
        if not self._usual or not any(word in lower for word in _WORDS):
            return None
        if _BUILT_IN.search(text):
            return Login(True, _in(_USERS, text), _in(_SOURCES, text))
        return Login(False, _in(_USERS, text), _in(_SOURCES, text)) if _LOGGED_IN.search(text) else None


def _in(patterns: tuple[re.Pattern[str], ...], text: str) -> str:
    """What the first pattern that fits names; empty when none does."""
    for pattern in patterns:
        found = pattern.search(text)
        if found is not None:
            return next(iter(found.groups()))
    return ""
