"""Statements as they may be shown: without the literals, which may be anybody's data or password.

Source of the rules: PostgreSQL's documentation, "Lexical Structure". Where a text can be read in two ways, such as a
backslash before a quote, all that follows is hidden.
"""

import re
from collections.abc import Iterator

_START, _PART = r"A-Za-z_\x80-\U0010ffff", r"A-Za-z0-9_\x80-\U0010ffff"
_TOKEN = re.compile(
    rf"""
      (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z|\\\Z))          # E'…' with escapes, or cut before its end
    | (?P<plain>(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z))        # '…', also of bits
    | (?P<dollar>\$(?P<tag>[{_START}][{_PART}]*)?\$)             # the beginning of $tag$ … $tag$
    | (?P<name>[{_START}][{_PART}$]* | \$\d+)                    # a word, or $1
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*(?P<end>"|\Z))           # "a name"
    | (?P<number>\.?\d(?:[eE][+-](?=\d)|[{_PART}.])*)            # 12.5e-3, 0x1f, 1_000
    | (?P<line>--[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# The value of a setting may be a word without quotes.
_SETTING = re.compile(
    r"(?is)^(\s*(?:SET|ALTER)\b.*?\bSET\s+|\s*SET\s+)((?:SESSION\s+|LOCAL\s+)?[\w.\"]+\s*(?:=|\bTO\b)).*"
)
_SHOWN = 500


def without_literals(statement: str) -> str:
    """The statement on one line with `?` for each literal, comments left out, 500 characters at most.

    A literal whose end was cut off (track_activity_query_size) counts as one to the end.
    """
    text = " ".join(_SETTING.sub(r"\1\2 ?", hidden(statement)).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def hidden(text: str, *, numbers: bool = True) -> str:
    """The text of SQL, or of a plan, with `?` for each literal and a blank for each comment; its lines stay.

    `numbers` says whether numbers are hidden too.
    """
    return "".join(_shown(text, numbers))


def _shown(text: str, numbers: bool) -> Iterator[str]:
    place = 0
    while found := _TOKEN.match(text, place):
        place = found.end()
        kind = found.lastgroup if found.lastgroup not in ("tag", "end") else "dollar" if found["dollar"] else "quoted"
        if kind == "plain" and "\\'" in found[0]:
            # Without standard_conforming_strings the literal goes on: nobody knows what is in it.
            yield "?"
            return
        if kind == "dollar":
            end = text.find(found["dollar"], place)
            place = len(text) if end < 0 else end + len(found["dollar"])
        elif kind == "comment":
            place = _after_comment(text, place)
        if kind in ("name", "other") or (kind == "number" and not numbers):
            yield found[0]
        elif kind == "quoted":
            # A name whose end was cut may be anything.
            yield found[0] if found["end"] else '"?'
        else:
            yield " " if kind in ("line", "comment") else "?"


def _after_comment(text: str, place: int) -> int:
    """Where the comment ends that was opened before `place`; comments may lie inside each other."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, place)
        if edge is None:
            return len(text)
        depth, place = depth + (1 if edge[0] == "/*" else -1), edge.end()
    return place
