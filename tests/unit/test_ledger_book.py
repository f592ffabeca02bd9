"""The ledger's journal: whole scans only, whoever writes beside it or is killed, and no more than is new."""

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.errors import CorruptError
from tasks.ledger.book import Book
from tasks.ledger.deadlines import due_time
from tasks.ledger.fold import fold
from tasks.repository.local import LocalStore
from tests.unit.histories import DAY, START, finding, histories, ledger, scan, system


@settings(deadline=None, max_examples=25)
@given(histories())
def test_what_is_read_back_is_what_was_recorded(tmp_path_factory, scans):
    store = LocalStore(tmp_path_factory.mktemp("ledger"))
    for part in (scans[:5], scans[5:], scans[:2]):  # a task that was tried again records twice
        book = Book(store, "acme")
        for run_id, one in part:
            book.record(run_id, one)
    assert fold(Book(store, "acme").scans(), due_time(system())) == ledger(*scans)


class Killed(Exception):
    """The run ended at once."""


class KillingStore(LocalStore):
    """A folder whose writer is killed, before or after the object is there."""

    dies = ""

    def put(self, key, data, **how):
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise Killed
        super().put(key, data, **how)
        if dies == "after":
            raise Killed


@settings(deadline=None, max_examples=25)
@given(histories(), st.data())
def test_two_hosts_and_killed_runs_leave_whole_scans_only(tmp_path_factory, scans, data):
    """Each host reads when its run begins and then writes, whatever the other wrote meanwhile."""
    folder = tmp_path_factory.mktemp("ledger")
    stores = [KillingStore(folder), KillingStore(folder)]
    books = [Book(store, "acme") for store in stores]
    kept = []
    for run_id, one in scans:
        host = data.draw(st.integers(0, 1))
        stores[host].dies = data.draw(st.sampled_from(["", "", "before", "after"]))
        killed = stores[host].dies
        try:
            books[host].record(run_id, one)
        except Killed:
            books[host] = Book(stores[host], "acme")
        if killed != "before":
            kept.append((run_id, one))
        if killed == "after" and data.draw(st.booleans()):
            books[host].record(run_id, one)  # the task was tried again
    assert fold(Book(stores[0], "acme").scans(), due_time(system())) == ledger(*kept)


def test_a_finding_that_stays_is_stored_once(tmp_path):
    for days in range(3):
        Book(LocalStore(tmp_path), "acme").record(*scan(START + days * DAY, finding()))
    stored = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*.jsonl")))
    assert stored.count(b"openssl") == 1


def test_a_scan_that_finds_again_what_is_known_takes_no_room_of_its_own(tmp_path):
    store, known = LocalStore(tmp_path), [finding(rule=f"CVE-{number}") for number in range(1000)]

    def held_bytes(days):
        for day in days:
            Book(store, "acme").record(*scan(START + day * DAY, *known))
        tracemalloc.start(5)
        book = Book(store, "acme")
        entries = fold(book.scans(), due_time(system()))
        gc.collect()
        # What other threads of the test session hold is not counted.
        ours = tracemalloc.Filter(True, "*/tasks/*", all_frames=True)
        held = tracemalloc.take_snapshot().filter_traces([ours]).statistics("filename")
        tracemalloc.stop()
        assert len(entries) == len(known)
        return sum(one.size for one in held)

    once = held_bytes(range(1))
    # A reference for each observation would be 8,000 bytes for each scan.
    assert (held_bytes(range(1, 11)) - once) / 10 < 2000


def test_a_finding_that_scans_name_and_nobody_holds_is_told_and_not_passed_over(tmp_path):
    book = Book(LocalStore(tmp_path), "acme")
    book.record(*scan(START, finding()))
    first = next(tmp_path.rglob("*.jsonl"))
    book.record(*scan(START + DAY, finding()))
    first.unlink()
    with pytest.raises(CorruptError, match="lacks what scans of trivy image app name; restore acme/history/findings"):
        Book(LocalStore(tmp_path), "acme")
