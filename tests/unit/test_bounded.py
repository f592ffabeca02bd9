"""Many targets of one flow: a bounded number at a time, and the mishap of one is its own."""

from concurrent.futures import Future

import pytest

from flows._support import bounded, failed
from tasks.base.errors import UnreachableError
from tasks.base.secrets import remember
from tasks.base.words import Verdict


class Started:
    """Work that ends when it is waited for, and how much of it was under way at most."""

    def __init__(self, errors):
        self.errors, self.under_way, self.most = errors, 0, 0

    def submit(self, target):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        future = Future()
        future.result = lambda: self._end(target)
        return future

    def _end(self, target):
        self.under_way -= 1
        if target in self.errors:
            raise self.errors[target]
        return target.upper()


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2), (16, 4)])
def test_what_one_target_raises_becomes_its_outcome_and_ends_no_other(limit, most):
    work = Started({"b": UnreachableError("b does not answer"), "d": ZeroDivisionError("division by zero")})
    asked = []

    def mishap(target, error):
        asked.append(target)
        return failed("backup", target, error, "nightshift check acme")

    first, second, third, fourth = bounded("abcd", limit, work.submit, mishap)
    assert (first, third, asked, work.most) == ("A", "C", ["b", "d"], most)
    assert (second.target, second.verdict, second.message) == ("b", Verdict.FAIL, "b does not answer")
    assert second.next_command == "nightshift check acme"
    assert fourth.message == "ZeroDivisionError: division by zero"


def test_a_cancel_is_no_mishap_of_a_target():
    with pytest.raises(KeyboardInterrupt):
        bounded("ab", 1, Started({"a": KeyboardInterrupt()}).submit, lambda *_: "hidden")


def test_an_error_that_nobody_foresaw_tells_no_secret():
    remember("planted-secret-3")
    told = failed("scan", "shop", ValueError("no login with planted-secret-3"), verdict=Verdict.SKIP)
    assert (told.verdict, "ValueError: no login" in told.message) == (Verdict.SKIP, True)
    assert "planted" not in told.message
