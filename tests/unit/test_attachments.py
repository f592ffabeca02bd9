"""Further tables and pictures of a report: files beside it, and inside a page that needs nothing but itself."""

import io
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from tasks.base.attachments import Band, Bar, BarChart, Event, Limit, Line, LineChart, Table
from tasks.base.performance import Part
from tasks.base.secrets import remember
from tasks.base.units import human
from tasks.base.words import Verdict
from tasks.report.charts import draw
from tasks.report.publish import as_csv, as_html, as_markdown
from tests.unit.test_words import result

DAYS = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=day) for day in range(30)]
TABLE = Table(
    name="growth",
    title="Growth by table",
    header=("table", "size_bytes", "used", "unit"),
    rows=({"table": "=cmd()", "size_bytes": 3 * 1024**3, "used": 0.5, "unit": "share"},),
    units={"used": "@unit"},
)


def chart(values, **changes):
    line = Line(name="used", at=DAYS[: len(values)], values=values)
    return LineChart(**({"name": "disk", "title": "disk", "unit": "bytes", "lines": (line,)} | changes))


def size_of(png):
    picture = Image.open(io.BytesIO(png))
    picture.load()
    return picture.size


def test_a_table_is_raw_in_its_file_and_in_human_units_on_the_page():
    assert as_csv(TABLE.header, TABLE.rows) == b"table,size_bytes,used,unit\r\n'=cmd(),3221225472,0.5,share\r\n"
    for page in (as_html(result(Verdict.OK), [TABLE]).decode(), as_markdown(result(Verdict.OK), [TABLE])):
        assert "Growth by table" in page
        assert "3 GiB" in page
        assert "50 %" in page


def test_a_long_table_is_cut_on_the_page_and_says_where_the_rest_is():
    long = TABLE.model_copy(update={"rows": TABLE.rows * 1500})
    assert "1000 further rows are in growth.csv" in as_html(result(Verdict.OK), [long]).decode()
    assert "1300 further rows are in growth.csv" in as_markdown(result(Verdict.OK), [long])


def test_pictures_lie_inside_the_page_which_loads_nothing_from_elsewhere():
    drawn = chart([1e9, 2e9], title="<disk> of planted-label-77")
    remember("planted-label-77")
    pictures = [(drawn, draw(drawn))] * 21
    page, text = as_html(result(Verdict.OK), [drawn], pictures).decode(), as_markdown(result(), [drawn], pictures)
    assert page.count('<img src="data:image/png;base64,') == 21
    assert text.count("](data:image/png;base64,") == 20
    assert "1 further pictures are in report.html" in text
    assert "planted-label-77" not in page + text
    assert "<disk>" not in page
    assert not re.search(r'(src|href)=(?!"data:)|url\(|@import|<script', page)


def test_a_full_picture_is_a_png_small_enough_for_twenty_in_an_artifact():
    minutes = np.datetime64("2026-11-01") + np.arange(30 * 288) * np.timedelta64(5, "m")
    noise = np.random.default_rng(7)
    lines = tuple(Line(name=f"p{n}", at=minutes, values=noise.lognormal(n / 20, 0.3, len(minutes))) for n in (50, 99))
    full = chart(
        [],
        lines=(*lines, Line(name="$forecast_a_b$", at=DAYS, values=range(30), dashed=True)),
        band=Band(name="_band", at=DAYS, low=np.arange(30) - 3, high=np.arange(30) + 3),
        limits=(Limit(name="threshold", value=25),),
        events=(Event(name="step $1 + $2", at=DAYS[9]),),
    )
    png = draw(full)
    assert size_of(png) == (840, 320)
    assert len(png) < 60_000


def test_bars_take_statements_as_labels():
    bars = tuple(Bar(label=f'SELECT $1, "a_{n}$" FROM t WHERE ' + "x" * 300, value=10.0**n) for n in range(10))
    png = draw(BarChart(name="top", title="Top", unit="ms", bars=bars))
    assert size_of(png)[0] == 840
    assert len(png) < 60_000


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(width=64), max_size=8), st.sampled_from(["bytes", "ms", "share", "users"]))
def test_whatever_was_measured_a_picture_comes_of_it(values, unit):
    assert size_of(draw(chart(values, unit=unit))) == (840, 320)


def test_columns_of_two_lengths_are_refused():
    with pytest.raises(ValidationError, match="columns of the shapes"):
        Line(name="x", at=DAYS, values=[1.0])


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0, "bytes", "0 B"),
        (1023.9, "bytes", "1 KiB"),
        (3e9, "bytes", "2.79 GiB"),
        (-3e9, "bytes", "-2.79 GiB"),
        (2e6, "bytes/s", "1.91 MiB/s"),
        (12.34, "ms", "12.3 ms"),
        (90_000, "ms", "90 s"),
        (0.004, "seconds", "4 ms"),
        (86_400 * 3, "seconds", "3 days"),
        (0.1234, "share", "12.3 %"),
        (99.94, "%", "99.9 %"),
        (12_345, "users", "12,345 users"),
        (0.00001234, "", "1.2e-05"),
        (float("nan"), "ms", ""),
    ],
)
def test_figures_are_said_as_people_say_them(value, unit, said):
    assert human(value, unit) == said


@given(st.floats(allow_nan=False), st.sampled_from(["bytes", "ms", "seconds", "share", "", "days"]))
def test_a_figure_keeps_its_sign_and_is_short(value, unit):
    said = human(value, unit)
    assert said.startswith("-") == (value < 0)
    assert abs(value) > 1e15 or len(said) < 26


def test_of_two_parts_tables_of_one_name_are_one_and_a_picture_of_that_name_stays():
    drawn = chart([1e9, 2e9], name=TABLE.name)
    joined = Part.joined([Part(attachments=(drawn, TABLE)), Part(attachments=(TABLE,))])
    assert joined.attachments == (drawn, TABLE.model_copy(update={"rows": TABLE.rows * 2}))
