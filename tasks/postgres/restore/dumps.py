"""Dumps that Nightshift did not write: found by name, newest by modification time, opened by what they hold."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import zstandard

from tasks.base.errors import ConfigurationError, CorruptError, MissingError
from tasks.base.words import Frozen
from tasks.repository.store import Store, StoredObject
from tasks.repository.streams import Readable, reading_foreign

CHUNK_BYTES = 1024 * 1024
TABLE_OF_CONTENTS = "toc.dat"
_ENDINGS = re.compile(r"\.(dump|dmp|backup|bak|pgdump|custom|tar|sql)(\.(gz|zst|zstd|bz2|xz))?(\.age)?$", re.IGNORECASE)
_NAMES = ".dump, .backup, .tar, .sql (also with .gz, .zst, .bz2, .xz and .age behind it), or a folder with toc.dat"
# What the bytes begin with, and what undoes it. Each object has `decompress`, `eof` and `unused_data`.
_COMPRESSIONS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
}
_DAMAGED = (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError, ValueError)


class Place(Frozen):
    """Where dumps lie: the URL of a folder or prefix, and a pattern of names in it."""

    url: str
    pattern: str


class Dump(Frozen):
    """One dump: an object, or a folder of them in pg_dump's directory format."""

    key: str
    size_bytes: int
    modified_at: datetime
    is_folder: bool = False

    @property
    def name(self) -> str:
        """Its name without the folders above it, as it can be written; '.' for the place itself."""
        return self.shown.rsplit("/", 1)[-1] or "."

    @property
    def shown(self) -> str:
        """Its key as it can be written: a file name may hold bytes that are no UTF-8."""
        return self.key.encode(errors="surrogateescape").decode(errors="replace")

    @property
    def encrypted(self) -> bool:
        """True when it must be opened with an age identity."""
        return self.key.lower().endswith(".age")


def place_of(text: str) -> Place:
    """Given file:///folder, s3://bucket/prefix or /folder, return where to look.

    A last part that is the name of a dump or of a local file, or holds a *, picks among the names in the folder before
    it. Raises ConfigurationError.
    """
    url = Path(text).as_uri().replace("%2A", "*") if text.startswith("/") else text
    url = url.rstrip("/")
    if not (url.startswith("file:///") or re.match(r"s3://[^/]", url)):
        raise ConfigurationError(f"'{text}' is no place of dumps; write file:///absolute/folder or s3://bucket/prefix")
    folder, _, last = url.rpartition("/")
    if url.startswith("file:"):
        last = unquote(last)
        named = Path(unquote(url.removeprefix("file://"))).is_file()
    else:
        named = False
    if named or "*" in last or (_ENDINGS.search(last) and folder not in ("file://", "s3:/")):
        return Place(url=folder, pattern=last)
    return Place(url=url, pattern="*")


def find_dumps(store: Store, pattern: str) -> list[Dump]:
    """The dumps below a store, the oldest first. Raises MissingError that says which names count as dumps.

    A file of the very name that is asked for counts whatever its ending, and whatever stands in its name.
    """
    items = list(store.list())
    folders = [item.key.removesuffix(TABLE_OF_CONTENTS) for item in items if _name(item) == TABLE_OF_CONTENTS]
    dumps = [_folder(items, folder) for folder in folders]
    dumps += [
        Dump(key=item.key, size_bytes=item.size_bytes, modified_at=item.modified_at)
        for item in items
        if (_ENDINGS.search(item.key) or _name(item) == pattern)
        and not item.key.startswith(tuple(folder for folder in folders if folder))
    ]
    found = [dump for dump in dumps if _matches(dump, pattern)]
    if not found:
        wanted = "" if pattern == "*" else f" named '{pattern}'"
        raise MissingError(f"no dump{wanted} was found below {store.url}; names that count are {_NAMES}")
    return sorted(found, key=lambda dump: dump.modified_at)


@contextmanager
def opened(store: Store, dump: Dump, identity: str | None) -> Iterator[Iterator[bytes]]:
    """The bytes of a dump in chunks, decrypted and decompressed. Nothing may be trusted before the block ended well.

    Raises CorruptError that names the dump when it is empty, cut, damaged or not opened by the identity.
    """
    with reading_foreign(store, dump.key, identity=identity, encrypted=dump.encrypted) as source:
        yield _inflated(_chunks(source), dump.name)


def lies_plain(store: Store, dump: Dump) -> bool:
    """True when the stored bytes are the dump itself, neither encrypted nor compressed."""
    with store.reading(dump.key, 0, 8) as source:
        return not dump.encrypted and not source.read().startswith(tuple(_COMPRESSIONS))


def _matches(dump: Dump, pattern: str) -> bool:
    name = dump.key.rsplit("/", 1)[-1] or "."
    return name == pattern or fnmatchcase(name, pattern)


def _name(item: StoredObject) -> str:
    return item.key.rsplit("/", 1)[-1]


def _folder(items: list[StoredObject], folder: str) -> Dump:
    """pg_dump writes the table of contents last, so its time is the dump's."""
    inside = [item for item in items if item.key.startswith(folder)]
    written = next(item.modified_at for item in inside if item.key == f"{folder}{TABLE_OF_CONTENTS}")
    size_bytes = sum(item.size_bytes for item in inside)
    return Dump(key=folder.rstrip("/"), size_bytes=size_bytes, modified_at=written, is_folder=True)


def _chunks(source: Readable) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def _inflated(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The chunks as they are, or decompressed when their first bytes say that they must be."""
    first = next(chunks, b"")
    if not first:
        raise CorruptError(_empty(name))
    for magic, make in _COMPRESSIONS.items():
        if first.startswith(magic):
            yield from _decompressed(chain([first], chunks), make, name)
            return
    yield first
    yield from chunks


def _empty(name: str) -> str:
    return f"{name} is empty; look whether the job that writes it still works"


def _decompressed(chunks: Iterator[bytes], make: Callable[[], Any], name: str) -> Iterator[bytes]:
    """Several compressed members may follow each other, as parallel compressors write them."""
    member, held_something = make(), False
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")  # what was padded to whole blocks ends in zeros, and gunzip minds them not
                if not rest:
                    break
                member = make()
            try:
                plain = member.decompress(rest)
            except _DAMAGED as error:
                raise CorruptError(
                    f"{name} cannot be decompressed ({error}); it is damaged, test an older one"
                ) from None
            rest = member.unused_data if member.eof else b""
            if plain:
                held_something = True
                yield plain
    if not member.eof:
        raise CorruptError(f"{name} ends in the middle of its compressed data: it was cut, test an older one")
    if not held_something:
        raise CorruptError(_empty(name))
