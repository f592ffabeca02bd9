"""Statements as they may be shown: without the literals, which may be anybody's data or password."""

import re

_LITERALS = re.compile(
    r"""
      \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)      # $tag$ … $tag$, or cut before its end
    | [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)             # E'…' with escapes
    | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)    # '…', also of bits, and one that was cut
    | (?P<name>"(?:[^"]|"")*"?)                   # "a name", kept as it is
    | --[^\n]*(?:\n|\Z) | /\*.*?(?:\*/|\Z)        # comments hold names and ticket texts
    | (?<![\w$"])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?   # numbers, but not those in names or $1
    """,
    re.VERBOSE | re.DOTALL,
)
_SHOWN = 500


def without_literals(statement: str) -> str:
    """The statement on one line with `?` for each literal, comments left out, 500 characters at most.

    A literal whose end was cut off (track_activity_query_size) counts as one to the end.
    """
    replaced = _LITERALS.sub(_shown, statement)
    text = " ".join(replaced.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _shown(found: re.Match[str]) -> str:
    return found["name"] or (" " if found[0].startswith(("--", "/*")) else "?")
