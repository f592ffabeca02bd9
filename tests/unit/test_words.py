"""Verdicts, counts and headlines."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.words import CheckResult, FlowResult, Verdict


def result(*verdicts: Verdict, dry_run: bool = False) -> FlowResult:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    checks = tuple(CheckResult(name="x", target="shop", verdict=verdict, message="why") for verdict in verdicts)
    return FlowResult(flow="f", system="s", run_id="r", started_at=now, finished_at=now, checks=checks, dry_run=dry_run)


@given(st.lists(st.sampled_from(list(Verdict)), min_size=1))
def test_the_worst_check_decides(verdicts):
    assert result(*verdicts).verdict == max(verdicts, key=list(Verdict).index)
    assert sum(result(*verdicts).counts.values()) == len(verdicts)


def test_nothing_checked_is_never_green():
    assert result().verdict is Verdict.SKIP
    assert "nothing was checked" in result().headline


def test_only_fail_and_incomplete_are_red():
    assert [verdict for verdict in Verdict if verdict.is_red] == [Verdict.INCOMPLETE, Verdict.FAIL]


def test_the_headline_names_the_worst_place_and_a_plan_says_so():
    assert result(Verdict.OK, Verdict.FAIL).headline == "1 FAIL, 1 OK: shop: why"
    assert result(Verdict.OK, dry_run=True).headline.startswith("plan only, nothing was changed")
