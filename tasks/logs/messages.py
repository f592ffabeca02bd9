"""Messages of errors without what differs from one to the next, and without what may be a secret or somebody's data."""

import re
from functools import lru_cache

_LONGEST = 240
# The value behind such a word is hidden, whatever it looks like, quoted or not.
_SECRET = re.compile(
    r"(?i)\b(pass(?:word|wd|phrase)?|pwd|secret|token|api[-_]?key|auth(?:orization)?|bearer|basic|cookie|session(?:[-_]?id)?|"
    r"credentials?|private[-_]?key|signature|sig|jwt|otp|pin)(\W{0,3}(?:=|:|\s|is\s)\s*)(?:bearer\s+|basic\s+)?"
    r"(?!(?:authentication|expired|failed|incorrect|invalid|is|mismatch|missing|must|not|refused|required|was|wrong)\b)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\s,;&)}\]]+)"
)
_PLACES = (
    (re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://\S+"), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*"), "<address>"),
    # An open quote hides all behind it: its end may have been cut.
    (re.compile(r"\"(?:[^\"\\]|\\.)*(?:\"|\\?$)|(?<!\w)'(?:[^'\\]|\\.)*(?:'|\\?$)|`[^`]*(?:`|$)"), "<text>"),
    # A path: its folders may be somebody's name.
    (re.compile(r"(?<![\w<])/(?:[\w.@%+~:-]+/)+[\w.@%+~:-]*(?:\?\S*)?"), "<path>"),
    # Hexadecimal, numbers with units, identifiers: any word with a digit in it.
    (re.compile(r"[\w.:%+-]*\d[\w.:%+-]*(?:[-:/.]\w+)*"), "#"),
    # Words as long as that are tokens.
    (re.compile(r"[\w+/=-]{25,}"), "#"),
)
_REPEATED = re.compile(r"(#|<\w+>)(?:[\s,;/|=-]*\1)+")
# What nginx tells behind the message is about the request, and not about the error.
_NGINX_TAIL = re.compile(r", (?:client|server|request|upstream|host|referrer): .*$")
_NGINX_HEAD = re.compile(r"^\[?(\w+)\]? \d+#\d+: (?:\*\d+ )?")


@lru_cache(maxsize=8192)
def shape_of(message: str) -> str:
    """What the message has in common with others of its kind, on one line of 240 characters at most.

    Numbers, words with digits, quoted text, addresses, URLs, paths and the values of secrets are hidden.
    """
    text = _NGINX_TAIL.sub("", message[: 4 * _LONGEST])
    text = _NGINX_HEAD.sub(r"[\1] ", text)
    text = _SECRET.sub(r"\1\2#", text)
    for pattern, shown in _PLACES:
        text = pattern.sub(shown, text)
    text = _REPEATED.sub(r"\1", " ".join("".join(char if char.isprintable() else " " for char in text).split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
