"""Where in an archive the rows of each table begin: pg_dump cannot say so when it writes into a pipe.

Without it every job of a parallel pg_restore searches the archive, row by row, for each table that it restores, and
takes the tables in no order of size. Source of the format: pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL
15 to 18.
"""

from pathlib import Path
from typing import BinaryIO

from tasks.base import stopping

_CHUNK_BYTES = 256 * 1024
_BEGIN, _CUSTOM = b"PGDMP", 1
_VERSIONS = ((1, 14), (1, 15), (1, 16))
_INTEGER_BYTES, _POSITION_BYTES = 4, 8
_UNKNOWN, _KNOWN = 1, 2
_ROWS = 1
# Rows are pieces with their length before them, and a length of zero ends them. COPY's text holds no zero byte, so
# nowhere before the end do so many follow each other.
_END_OF_ROWS = bytes(1 + _INTEGER_BYTES)


def add_positions(archive: Path) -> int:
    """Write into the table of contents where the rows of each table begin, as pg_dump does for a file; say how many.

    An archive of a version that is not known here stays as it is, and so do entries behind large objects. pg_restore
    itself looks whether the rows of that table are really there.
    """
    with archive.open("r+b") as file:
        try:
            places = _Contents(file).places_of_positions()
        except EOFError:
            places = {}  # it is cut; pg_restore says so
        blocks = _blocks_of_rows(file) if places else {}
        known = blocks.keys() & places.keys()
        for identity in known:
            file.seek(places[identity])
            file.write(bytes([_KNOWN]) + blocks[identity].to_bytes(_POSITION_BYTES, "little"))
    return len(known)


class _Contents:
    """Reads the head of an archive and its table of contents; the file stands behind them afterwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def places_of_positions(self) -> dict[int, int]:
        """By the number of the entry, where the unknown position of its rows stands in the file."""
        begin = self._read(len(_BEGIN))
        major, minor, _, *kind = self._read(6)
        version = (major, minor)
        if begin != _BEGIN or kind != [_INTEGER_BYTES, _POSITION_BYTES, _CUSTOM] or version not in _VERSIONS:
            return {}
        if version >= (1, 15):
            self._byte()  # the compression's algorithm
        else:
            self._integer()  # its level
        self._skip(integers=7, texts=3)  # the time; names and versions
        places = {}
        for _ in range(self._integer()):
            identity = self._integer()
            self._skip(integers=1, texts=4)  # whether it has rows; two OIDs, tag, kind
            self._skip(integers=1, texts=6)  # section; three statements, schema, tablespace, access method
            self._skip(integers=1 if version >= (1, 16) else 0, texts=2)  # kind of relation; owner, with OIDs
            while self._text():
                pass  # what it depends on
            place = self._file.tell()
            if self._byte() == _UNKNOWN:
                places[identity] = place
            self._read(_POSITION_BYTES)
        return places

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _byte(self) -> int:
        return self._read(1)[0]

    def _integer(self) -> int:
        sign = self._byte()
        number = int.from_bytes(self._read(_INTEGER_BYTES), "little")
        return -number if sign else number

    def _text(self) -> bool:
        """Read one text; False for one that is null."""
        length = self._integer()
        self._read(max(0, length))
        return length >= 0

    def _skip(self, integers: int, texts: int) -> None:
        for _ in range(integers):
            self._integer()
        for _ in range(texts):
            self._text()


def _blocks_of_rows(file: BinaryIO) -> dict[int, int]:
    """By the number of the entry, where its block of rows begins; up to the first block of something else."""
    blocks = {}
    begin = file.tell()
    while file.read(2) == bytes([_ROWS, 0]):
        blocks[int.from_bytes(file.read(_INTEGER_BYTES), "little")] = begin
        begin = _behind_rows(file)
        file.seek(begin)
    return blocks


def _behind_rows(file: BinaryIO) -> int:
    """The position behind the rows that begin where the file stands; its end when they are cut."""
    position, kept = file.tell(), b""
    while chunk := file.read(_CHUNK_BYTES):
        stopping.raise_if_stopped()
        window = kept + chunk
        found = window.find(_END_OF_ROWS)
        if found >= 0:
            return position + found + len(_END_OF_ROWS)
        kept = window[1 - len(_END_OF_ROWS) :]
        position += len(window) - len(kept)
    return position + len(kept)
