"""Where a sequence may have stood while it was dumped."""

import pytest

from tasks.postgres.fingerprint.models import Position, SequenceFingerprint
from tasks.postgres.fingerprint.sequences import stood_at


def sequence(before, after, increment=1, cycles=False):
    return SequenceFingerprint(
        before=Position(last_value=before, is_called=True),
        after=Position(last_value=after, is_called=True),
        increment=increment,
        cycles=cycles,
    )


@pytest.mark.parametrize(
    ("moved", "last_value", "possible"),
    [
        (sequence(5, 5), 5, True),
        (sequence(5, 5), 6, False),
        (sequence(5, 9), 7, True),
        (sequence(5, 9), 4, False),
        (sequence(5, 9), 10, False),
        (sequence(-5, -9, increment=-2), -7, True),
        (sequence(-5, -9, increment=-2), -3, False),
        (sequence(9, 2, cycles=True), 5, True),
    ],
)
def test_a_copy_stands_between_the_two_positions(moved, last_value, possible):
    assert stood_at(moved, Position(last_value=last_value, is_called=True)) is possible


def test_one_that_cycles_may_have_gone_round_to_where_it_stood():
    assert stood_at(sequence(-9, -9, increment=-2, cycles=True), Position(last_value=-1, is_called=True))
