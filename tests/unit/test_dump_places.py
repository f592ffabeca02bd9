"""Where existing dumps are looked for, and which of them is the newest."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.flow_runner import check_parameters
from tasks.base.errors import NightshiftError
from tasks.postgres.restore.dumps import find_dumps, place_of
from tasks.repository.local import LocalStore


def test_the_newest_by_time_is_tried_and_names_that_are_no_dumps_are_passed_over(tmp_path):
    for age_days, name in enumerate(["today.dump", "older/yesterday.sql.gz", "shop.DUMP"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        at = datetime(2026, 11, 21 - age_days, tzinfo=UTC).timestamp()
        os.utime(path, (at, at))
    (tmp_path / "dpkg.status.1").write_bytes(b"x")
    (tmp_path / "shop.dump.part").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.sql")
    found = [dump.key for dump in find_dumps(LocalStore(str(tmp_path)), "*")]
    assert found == ["shop.DUMP", "older/yesterday.sql.gz", "today.dump"]
    assert [dump.key for dump in find_dumps(LocalStore(str(tmp_path)), "*.sql.gz")] == ["older/yesterday.sql.gz"]


@pytest.mark.parametrize(
    ("text", "url", "pattern"),
    [
        ("/var/backups", "file:///var/backups", "*"),
        ("/var/backups/", "file:///var/backups", "*"),
        ("file:///var/backups/shop-*.dump", "file:///var/backups", "shop-*.dump"),
        ("/var/backups/shop-*", "file:///var/backups", "shop-*"),
        ("file:///var/backups/shop.sql.gz", "file:///var/backups", "shop.sql.gz"),
        ("s3://bucket/nightly", "s3://bucket/nightly", "*"),
        ("s3://bucket/shop.dump", "s3://bucket", "shop.dump"),
        ("s3://bucket.backup", "s3://bucket.backup", "*"),
    ],
)
def test_a_place_is_a_folder_a_prefix_a_pattern_or_one_dump(text, url, pattern):
    place = place_of(text)
    assert (place.url, place.pattern) == (url, pattern)


@pytest.mark.parametrize(
    "name", ["my dump.sql", "Größe.dump", "50%25.sql", "a[1].sql", "a?#.tar", "two\nlines.sql", "shop.out"]
)
def test_a_dump_is_found_by_its_own_name_whatever_stands_in_it(tmp_path, name):
    for one in (name, "newer.sql", "newer.out"):
        (tmp_path / one).write_bytes(b"x")
    for text in (str(tmp_path / name), (tmp_path / name).as_uri()):
        place = place_of(text)
        assert place.url == f"file://{tmp_path}"
        assert [dump.name for dump in find_dumps(LocalStore(str(tmp_path)), place.pattern)] == [name]


@pytest.mark.parametrize("text", ["backups", "ftp://host/backups", "file://backups", "s3://", "file:///"])
def test_what_is_no_place_is_one_sentence(text):
    with pytest.raises(NightshiftError, match="write file:///absolute/folder or s3://bucket/prefix"):
        place_of(text)


def test_the_command_of_the_readme_is_one_that_the_flow_takes():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    command = next(line for line in readme.splitlines() if "run restore_test dumps=" in line)
    parameters = dict(pair.split("=", maxsplit=1) for pair in command.split() if "=" in pair)
    assert place_of(parameters["dumps"]).pattern == "*"
    check_parameters("restore_test", parameters)
