"""Statements as pg_dump, pg_restore and pg_dumpall write them, told apart without a server."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.postgres.names import quoted

# A literal doubles its quotation marks. What is outside of all of these is space.
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|^\\[^\n]*|;|[^\s'";]+""", re.MULTILINE)
_DATABASE = "DATABASE"


@dataclass(frozen=True)
class Statement:
    """One statement: its text, and its words with the place of each in the text."""

    text: str
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    def of_database(self, name: str) -> str:
        """The same statement about the database of another name."""
        start, end = self.places[self.words.index(_DATABASE) + 1]
        return self.text[:start] + quoted(name) + self.text[end:]

    def starts(self, *words: str) -> bool:
        """Whether it begins with these words."""
        return self.words[: len(words)] == words


def statements(script: str) -> Iterator[Statement]:
    """The statements of a script; comments and commands to psql are passed over."""
    start: int | None = None
    words: list[str] = []
    places: list[tuple[int, int]] = []
    for token in _TOKEN.finditer(script):
        if token[0] == ";":
            if start is not None:
                yield Statement(script[start : token.end()], tuple(words), tuple(places))
            start, words, places = None, [], []
        elif not token[0].startswith(("--", "\\")):
            start = token.start() if start is None else start
            words.append(token[0])
            places.append((token.start() - start, token.end() - start))


def of_the_database(script: str) -> list[Statement]:
    """Those that make a database, and say whose it is, what is set in it and who may what."""
    return [one for one in statements(script) if _DATABASE in one.words]


def unquoted(word: str) -> str:
    """The name that an identifier means."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word
