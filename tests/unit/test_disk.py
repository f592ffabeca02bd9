"""Whether the disk behind a repository will take the next backups."""

import pytest

from tasks.base.words import Verdict
from tasks.repository.disk import check_disk
from tasks.repository.store import DiskSpace


class OnDisk:
    """A store of which only the disk is asked."""

    url = "file:///backups"

    def __init__(self, space):
        self.space = space

    def disk_space(self):
        return self.space


@pytest.mark.parametrize(
    ("free", "next_bytes", "sentence"),
    [
        (500, 100, ""),
        (100, 100, ""),
        (99, 100, "99 bytes are free, and the last backups took 100; free space there, or let retention keep less"),
        (49, 0, "4.9% of the disk is free, less than the 5.0% of the limit; free space there, or let retention keep"),
        (0, 0, "0.0% of the disk is free"),
    ],
)
def test_a_disk_without_room_for_the_next_backups_is_a_warning(free, next_bytes, sentence):
    (check,) = check_disk(OnDisk(DiskSpace(free_bytes=free, total_bytes=1000)), 0.05, next_bytes)
    assert check.verdict is (Verdict.WARN if sentence else Verdict.OK)
    assert check.message.startswith(sentence)
    assert check.value == free / 1000


def test_a_bucket_has_no_disk_to_judge():
    assert check_disk(OnDisk(None), 0.05, 10**15) == []
