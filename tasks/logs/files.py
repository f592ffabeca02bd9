"""The files of a log, plain and rotated, read as blocks of whole lines with flat memory; what is lost is counted.

A file that is renamed while the log is read keeps its inode and is read once; what rotation made of it meanwhile is
known by how it begins.
"""

import glob
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import zstandard

from tasks.base.security import place_of

_BLOCK = LONGEST = 1024**2
# So little of a packed file at a time that what comes out of it is not large either.
_HEAD, _PACKED_BLOCK = 64 * 1024, 16 * 1024
_PACKED = (".gz", ".zst")
_ROUNDS = 5


class TruncatedError(OSError):
    """The file became shorter while it was read."""


@dataclass
class Reading:
    """What was read so far, and what could not be."""

    files: list[str] = field(default_factory=list)
    lines: int = 0
    # Lines that say nothing, by reason.
    unreadable: Counter[str] = field(default_factory=Counter)
    # Lines that are read all the same.
    not_utf8: int = 0
    # Sentences about files; each makes the reading incomplete.
    missing: list[str] = field(default_factory=list)
    # Sentences about what nobody can read any more; the next review need not try.
    lost: list[str] = field(default_factory=list)

    def blocks(self, path: Path, *, settled: bool = True) -> Iterator[bytes]:
        """The lines of one file, many at a time, each block with its last line's end.

        Without `settled` the file is still written: an unfinished last line is left to the next review.
        """
        self.files.append(str(path))
        rest, too_long = b"", False
        try:
            for chunk in _chunks(path):
                data = chunk
                end = data.rfind(b"\n") + 1
                if too_long:
                    # What lies before the first line's end belongs to a line that was given up.
                    begin = data.find(b"\n") + 1
                    too_long, data, end = not begin, data[begin:] if begin else b"", end - begin
                if end > 0:
                    yield from self._whole(rest + data[:end])
                    rest = b""
                rest += data[end:]
                if len(rest) > LONGEST:
                    self.unreadable["longer than 1 MiB"] += 1
                    self.lines += 1
                    rest, too_long = b"", True
            if rest and settled:
                yield from self._whole(rest + b"\n")
        except FileNotFoundError:
            # It was renamed a moment ago: it is found again under its new name.
            self.files.remove(str(path))
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError):
            self.missing.append(f"{path} is cut or damaged; restore it, or take it out of the pattern")
        except TruncatedError:
            self.missing.append(f"{path} was truncated while it was read; rotate by renaming, not by copytruncate")
        except OSError as error:
            self.missing.append(
                f"{path} cannot be read ({error.strerror or type(error).__name__}); let this user read it: "
                f"setfacl -m u:nightshift:r {path}, or add it to the group adm"
            )

    def _whole(self, block: bytes) -> Iterator[bytes]:
        """The block without lines that are binary or too long."""
        self.lines += block.count(b"\n")
        if b"\0" in block or _has_long_line(block):
            good = []
            for line in block.split(b"\n"):
                reason = "binary" if b"\0" in line else "longer than 1 MiB" if len(line) > LONGEST else ""
                if reason:
                    self.unreadable[reason] += 1
                elif line:
                    good.append(line + b"\n")
            block = b"".join(good)
        if not block.isascii():
            try:
                block.decode()
            except UnicodeDecodeError:
                self.not_utf8 += sum(map(_is_not_utf8, block.split(b"\n")))
        if block:
            yield block


def _has_long_line(block: bytes) -> bool:
    """True when a line of the block is longer than LONGEST; looks at few bytes."""
    place = 0
    while place < len(block):
        end = block.rfind(b"\n", place, place + LONGEST + 1)
        if end < 0:
            return True
        place = end + 1
    return False


def files_of(patterns: Sequence[str], since: datetime) -> Iterator[Path]:
    """Every file once, also those that rotation makes meanwhile; none that was last written before the period.

    Raises ConfigurationError for a pattern with an unset variable.
    """
    read: set[tuple[int, int]] = set()
    heads: set[str] = set()
    for turn in range(_ROUNDS):
        fresh = [path for path in _found(patterns, since) if _inode(path) not in read]
        for path in fresh:
            inode, head = _inode(path), _head(path)
            if inode is None or inode in read or (turn and head and head in heads):
                continue
            read.add(inode)
            heads.add(head)
            yield path
        if not fresh:
            return


def _found(patterns: Sequence[str], since: datetime) -> list[Path]:
    """Files by name; of one that is packed at this moment, the one that is whole."""
    names = {name for pattern in patterns for name in glob.glob(str(place_of(pattern)), recursive=True)}  # noqa: PTH207
    paths = [Path(name) for name in sorted(names) if not (name.endswith(_PACKED) and name.rpartition(".")[0] in names)]
    return [path for path in paths if was_written(path, since)]


def was_written(path: Path, since: datetime) -> bool:
    """True for a file that was written since then, or of which that cannot be known."""
    try:
        return path.is_file() and datetime.fromtimestamp(path.stat().st_mtime, UTC) >= since
    except OSError:
        return True  # that it may not be looked at is told when it is read


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _head(path: Path) -> str:
    """How its content begins; empty when that cannot be read."""
    try:
        return sha256(next(_chunks(path), b"")[:_HEAD]).hexdigest()
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return ""


def _chunks(path: Path) -> Iterator[bytes]:
    """The content, unpacked. Raises OSError; EOFError, zlib's or zstd's error for a packed file that is damaged."""
    if path.suffix == ".zst":
        yield from _unpacked(path)
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        read = 0
        while data := file.read(_BLOCK):
            read += len(data)
            yield data
        if path.suffix != ".gz" and read > os.fstat(file.fileno()).st_size:
            raise TruncatedError


def _unpacked(path: Path) -> Iterator[bytes]:
    unpacking, ended = zstandard.ZstdDecompressor().decompressobj(), True
    with path.open("rb") as file:
        while packed := file.read(_PACKED_BLOCK):
            while packed:
                if data := unpacking.decompress(packed):
                    yield data
                packed, ended = b"", unpacking.eof
                if ended:
                    # Several frames may stand behind each other.
                    packed, unpacking = unpacking.unused_data, zstandard.ZstdDecompressor().decompressobj()
    if not ended:
        raise EOFError


def _is_not_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False
