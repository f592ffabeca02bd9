"""The files of a log: each line is read once, whatever rotation makes of them meanwhile."""

import gzip

import pytest
import zstandard

from tasks.base.log_review import LogKind, LogReviewPolicy, LogSource
from tasks.logs.collect import collect
from tests.unit.made_logs import SINCE, UNTIL, combined, read


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_rotated_files_are_read_once_and_a_cut_one_is_told(tmp_path, ending):
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[ending]
    data = pack((combined("/a", 404) * 1000).encode())
    (tmp_path / f"access.log.1{ending}").write_bytes(data)
    reading, tally = read(tmp_path, LogKind.ACCESS, combined("/b", 404), "access.log")
    assert (tally.reviewed, reading.missing) == (1001, [])
    if ending:
        (tmp_path / f"access.log.1{ending}").write_bytes(data[:-9])
        reading, _ = read(tmp_path, LogKind.ACCESS, combined("/b", 404), "access.log")
        assert "cut or damaged" in reading.missing[0]


def test_a_file_that_is_packed_at_this_moment_is_read_once(tmp_path):
    text = (combined("/a", 404) * 10).encode()
    (tmp_path / "access.log.1").write_bytes(text)
    _, tally = read(tmp_path, LogKind.ACCESS, gzip.compress(text)[:-5], "access.log.1.gz")
    assert tally.reviewed == 10


def test_a_file_that_is_rotated_while_the_log_is_read_is_read_once(tmp_path, monkeypatch):
    from tasks.logs import collect as module

    (tmp_path / "access.log").write_text(combined("/a", 404) * 10)
    (tmp_path / "access.log.1").write_text(combined("/b", 404) * 10)
    genuine = module.files_of

    def rotating(*arguments):
        for number, path in enumerate(genuine(*arguments)):
            yield path
            if number == 0:  # the first is read: now logrotate comes along
                data = (tmp_path / "access.log.1").read_bytes()
                (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(data))
                (tmp_path / "access.log.1").unlink()
                (tmp_path / "access.log").rename(tmp_path / "access.log.1")
                (tmp_path / "access.log").write_text(combined("/c", 404))

    monkeypatch.setattr(module, "files_of", rotating)
    source = LogSource(name="x", kind=LogKind.ACCESS, files=(f"{tmp_path}/access.log*",))
    reading, tally = collect(source, LogReviewPolicy(), SINCE, UNTIL)
    assert (tally.paths.counts, reading.missing) == ({("/a", 404): 10, ("/b", 404): 10, ("/c", 404): 1}, [])
