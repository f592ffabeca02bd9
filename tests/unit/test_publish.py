"""CSV that opens cleanly, markdown that says the worst first."""

import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.secrets import mask
from tasks.base.words import CheckResult, Verdict
from tasks.report.former import former_report
from tasks.report.publish import as_csv, as_html, as_markdown, guarded
from tasks.repository.local import LocalStore
from tests.unit.test_words import result


@given(st.text())
def test_no_cell_is_a_formula(text):
    assert not str(guarded(text)).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), min_size=1), min_size=1))
def test_rows_survive_the_round_trip(cells):
    data = as_csv(["cell", "n"], [{"cell": cell, "n": 1} for cell in cells]).decode()
    rows = list(csv.DictReader(io.StringIO(data, newline="")))
    assert [row["cell"].removeprefix("'") for row in rows] == [mask(cell).removeprefix("'") for cell in cells]


def test_a_foreign_column_is_an_error():
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        as_csv(["a"], [{"b": 1}])


def test_numbers_keep_their_sign():
    assert as_csv(["n"], [{"n": -1.5}]) == b"n\r\n-1.5\r\n"


def test_markdown_says_the_worst_first_and_escapes_bars():
    text = as_markdown(
        result(Verdict.OK).with_checks(CheckResult(name="hash", target="a|b", verdict=Verdict.FAIL, message="flipped"))
    )
    assert text.splitlines()[0] == "# FAIL: f s"
    assert text.index("| FAIL | a\\|b") < text.index("| OK | shop")


def test_the_page_escapes_what_a_database_may_hold_and_masks_secrets():
    check = CheckResult(name="hash", target="<script>", verdict=Verdict.FAIL, message="password=hunter22 <b>")
    page = as_html(result().with_checks(check)).decode()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "hunter22" not in page
    assert page.startswith("<!doctype html>")


def test_a_damaged_report_is_told_and_the_one_before_it_is_the_former(tmp_path):
    store = LocalStore(str(tmp_path))
    assert former_report(store, "s", "f") == (None, [])
    for day, data in enumerate((result().model_dump_json(), "{", "")):
        key = f"s/reports/f/{day}/result.json"
        store.put(key, data.encode())
        os.utime(tmp_path / key, (day, day))
    former, damaged = former_report(store, "s", "f")
    assert former is not None
    assert former.run_id == result().run_id
    assert [check.message.split()[0] for check in damaged] == ["s/reports/f/2/result.json", "s/reports/f/1/result.json"]
    assert {check.verdict for check in damaged} == {Verdict.WARN}
