"""An archive that came through a pipe gets the positions that pg_dump writes by itself into a file."""

import subprocess

import psycopg
import pytest

from tasks.postgres.clients import embedded_binaries
from tasks.postgres.restore.positions import add_positions

# Magic, version, sizes, format, compression, and the time of the dump.
HEADER_BYTES = 5 + 6 + 1 + 7 * 5
# Lengths of rows that hold as many zero bytes as a length can.
LENGTHS = (0, 1, 255, 256, 65535, 65536, 131071, 2**24 - 1)


@pytest.fixture
def dump(shop, tmp_path):
    """The database dumped twice: into a file, and through a pipe."""
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("CREATE TABLE long AS SELECT repeat('x', n) FROM unnest(%s::int[]) n", [list(LENGTHS)])

    def make(*options):
        program = [embedded_binaries() / "pg_dump", "--format=custom", "--compress=0", *options, shop]
        subprocess.run([*program, f"--file={tmp_path / 'file'}"], check=True)
        piped = subprocess.run(program, check=True, capture_output=True).stdout
        (tmp_path / "piped").write_bytes(piped)
        return tmp_path / "file", tmp_path / "piped"

    return make


def script(archive):
    program = [embedded_binaries() / "pg_restore", "--file=-", archive]
    lines = subprocess.run(program, check=True, capture_output=True).stdout.splitlines()
    return [line for line in lines if b"restrict " not in line]


def test_they_are_those_of_an_archive_that_was_written_into_a_file(dump):
    file, piped = dump("--no-large-objects")
    assert file.read_bytes()[HEADER_BYTES:] != piped.read_bytes()[HEADER_BYTES:]
    assert add_positions(piped) > 5
    assert file.read_bytes()[HEADER_BYTES:] == piped.read_bytes()[HEADER_BYTES:]
    assert add_positions(piped) == 0, "what is known already stays"


def test_large_objects_are_still_found(dump):
    file, piped = dump()
    assert add_positions(piped) > 5
    assert script(piped) == script(file)
    assert b"lo_open" in b"".join(script(piped))


def test_what_is_no_such_archive_or_is_cut_stays_readable_as_far_as_it_was(dump, tmp_path):
    other = tmp_path / "other"
    for data in (b"", b"PGDMP", b"CREATE TABLE t (i int);", b"PGDMP\x01\x11" + bytes(100)):
        other.write_bytes(data)
        assert add_positions(other) == 0
        assert other.read_bytes() == data
    _, piped = dump()
    whole = piped.read_bytes()
    for size_bytes in (HEADER_BYTES - 1, HEADER_BYTES + 5, 2000, len(whole) // 2, len(whole) - 10):
        piped.write_bytes(whole[:size_bytes])
        add_positions(piped)
        assert piped.stat().st_size == size_bytes
