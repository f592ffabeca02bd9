"""The capacity report: documented columns, what happened, what grew, what came of forecasts, what to do first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tasks.base.attachments import LineChart, Table
from tasks.base.capacity import CapacityPolicy
from tasks.base.words import Verdict
from tasks.capacity.figures import number
from tasks.capacity.report import CapacityResult, report
from tasks.report.charts import draw
from tasks.report.publish import as_csv, as_html, as_markdown
from tests.unit.capacity import GIB, TODAY, noise, table

# What the issue fixes; people's spreadsheets rely on it.
HEADER = (
    "system,kind,resource,unit,capacity,used,used_pct,growth_per_day,growth_per_day_low,growth_per_day_high,"
    "forecast_30,forecast_30_low,forecast_30_high,forecast_90,forecast_90_low,forecast_90_high,"
    "forecast_180,forecast_180_low,forecast_180_high,threshold,days_to_threshold,days_to_threshold_low,"
    "days_to_threshold_high,verdict,method,covered_pct,samples,first,last,recommended_action"
)
ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
DAYS = np.arange(300)
STEP = 12.0 * (DAYS >= 200)
SAMPLES = {
    "filesystem__db1:/var": {"used": (20 + 0.2 * DAYS + noise(300, 0.1)) * GIB, "capacity": 120 * GIB},
    "filesystem__db1:/": {"used": (20 + noise(300, 0.1)) * GIB, "capacity": 80 * GIB},
    "database__shop": {"used": (10 + 0.1 * DAYS + STEP + noise(300, 0.02)) * GIB},
    "table__shop.public.orders": {"used": (5 + 0.08 * DAYS + noise(300, 0.02)) * GIB},
    "table__shop.public.events": {"used": (2 + STEP + noise(300, 0.01)) * GIB},
    "volume__new": {"used": [GIB] * 3, "capacity": 10 * GIB},
}


@pytest.fixture(scope="module")
def made():
    return report("acme", table(**SAMPLES), CapacityPolicy(), TODAY, 400, 90, 20)


def result_of(made):
    return CapacityResult(
        flow="capacity_report", system="acme", run_id="r", started_at=NOW, finished_at=NOW,
        checks=made.checks, rows=made.rows, things=made.things,
    )  # fmt: skip


def attached(made, name):
    return next(one for one in made.attachments if isinstance(one, Table) and one.name == name).rows


def rows_of(**series):
    made = report("acme", table(**series), CapacityPolicy(), TODAY, 400, 90, 20)
    return attached(made, "events")


def test_the_header_is_the_documented_one_and_every_row_has_it(made):
    assert ",".join(CapacityResult.csv_header) == HEADER
    assert as_csv(CapacityResult.csv_header, made.rows).decode().splitlines()[0] == HEADER
    assert all(tuple(row) == CapacityResult.csv_header for row in made.rows)


def test_what_needs_action_comes_first_with_its_figures(made):
    first = made.rows[0]
    assert (first["kind"], first["resource"], first["verdict"]) == ("filesystem", "db1:/var", "growing")
    assert first["used"] == pytest.approx(79.8 * GIB, rel=0.01)
    assert first["growth_per_day"] == pytest.approx(0.2 * GIB, rel=0.02)
    assert first["growth_per_day_low"] < first["growth_per_day"] < first["growth_per_day_high"]
    assert first["threshold"] == 84 * GIB
    assert first["days_to_threshold"] == pytest.approx(21, abs=1)
    assert first["days_to_threshold_low"] <= first["days_to_threshold"] <= first["days_to_threshold_high"]
    assert first["recommended_action"].startswith("free space or add capacity before 2026-12-1")
    assert (first["samples"], first["first"], first["last"]) == (300, str(TODAY - timedelta(days=299)), str(TODAY))


def test_what_is_not_known_is_an_empty_cell(made):
    new = next(row for row in made.rows if row["resource"] == "new")
    assert new["verdict"] == "not enough data"
    assert {new[name] for name in ("growth_per_day", "forecast_30", "days_to_threshold", "covered_pct")} == {None}
    assert new["recommended_action"] == "wait: 3 of 7 samples of the last 90 days are there"
    assert new["method"] == ""


def test_growth_is_given_to_tables_and_the_rest_is_told(made):
    rows = attached(made, "growth")
    assert rows[0]["resource"] == "shop.public.orders"
    assert rows[0]["share_pct"] == pytest.approx(80, abs=5)
    assert rows[-1]["resource"] == "shop (everything else)"
    whole = sum(row["growth"] for row in rows)
    assert whole == pytest.approx(3 * GIB, rel=0.05)
    assert sum(row["share_pct"] for row in rows) == pytest.approx(100, abs=0.1)


def test_steps_are_events_with_date_and_size(made):
    steps = [row for row in attached(made, "events") if row["event"] == "step up"]
    assert {row["resource"] for row in steps} == {"shop", "shop.public.events"}
    assert {row["day"] for row in steps} == {str(TODAY - timedelta(days=99))}
    assert steps[0]["size"] == pytest.approx(12 * GIB, rel=0.02)


def test_what_was_forecast_is_held_against_what_came(made):
    rows = [row for row in attached(made, "accuracy") if row["resource"] == "db1:/var"]
    assert [row["horizon_days"] for row in rows] == [30, 90]
    for row in rows:
        assert row["forecast_for"] == str(TODAY)
        assert row["made_on"] == str(TODAY - timedelta(days=row["horizon_days"]))
        assert row["came"] == pytest.approx(79.8 * GIB, rel=0.01)
        assert abs(row["error_pct"]) < 2
        assert row["held"] == ("yes" if row["forecast_low"] <= row["came"] <= row["forecast_high"] else "no")


def test_the_page_begins_with_what_to_do_in_human_units_and_holds_its_pictures(made):
    charts = [one for one in made.attachments if isinstance(one, LineChart)]
    assert [chart.title for chart in charts] == ["filesystem db1:/var"]
    assert {line.name for line in charts[0].lines} == {"history", "course", "forecast"}
    assert {limit.name for limit in charts[0].limits} == {"threshold", "capacity"}
    result, pictures = result_of(made), [(chart, draw(chart)) for chart in charts]
    for page in (as_html(result, made.attachments, pictures).decode(), as_markdown(result, made.attachments, pictures)):
        assert page.index("What to do first") < page.index("filesystem db1:/var: free space") < page.index("data:image")
        assert page.index("data:image") < page.index("What grew")
        assert "84 GiB" in page
        assert "forecast_30_low" not in page


def test_checks_warn_of_alerts_say_what_is_unknown_and_sum_up(made):
    by_name = {check.name: check for check in made.checks}
    assert by_name["capacity"].verdict is Verdict.WARN
    assert by_name["capacity"].target == "filesystem db1:/var"
    assert by_name["not enough data"].verdict is Verdict.SKIP
    assert by_name["forecast"].verdict is Verdict.OK
    assert "6 resources" in by_name["forecast"].message
    assert result_of(made).headline.startswith("1 WARN, 1 SKIP, 1 OK: filesystem db1:/var: ")


def test_no_samples_are_skip_with_the_command():
    made = report("acme", table(), CapacityPolicy(), TODAY, 400, 90, 20)
    assert [check.verdict for check in made.checks] == [Verdict.SKIP]
    assert made.checks[0].next_command == "nightshift run capacity_sample system=acme"
    assert made.rows == ()


def test_samples_that_ended_and_samples_of_tomorrow_are_told():
    ended = report("acme", table(database__a={"used": [1.0] * 20, "end": TODAY - timedelta(days=5)}),
                   CapacityPolicy(), TODAY, 400, 90, 20)  # fmt: skip
    assert "5 days before" in next(check for check in ended.checks if check.verdict is Verdict.WARN).message
    tomorrow = report("acme", table(database__a={"used": [1.0] * 20, "end": TODAY + timedelta(days=2)}),
                      CapacityPolicy(), TODAY, 400, 90, 20)  # fmt: skip
    warned = next(check for check in tomorrow.checks if check.verdict is Verdict.WARN)
    assert warned.message.startswith(f"2 samples are dated after {TODAY}")


def test_a_renamed_table_is_gone_and_its_new_name_says_where_it_comes_from():
    found = rows_of(
        table__old={"used": 1000 + DAYS, "end": TODAY - timedelta(days=20)},
        table__new=1301.0 + np.arange(20),
        table__other=DAYS * 1.0,
    )
    events = {(row["event"], row["resource"]): row for row in found}
    assert events["disappeared", "old"]["day"] == str(TODAY - timedelta(days=20))
    assert events["appeared", "new"]["message"] == "perhaps old under another name"


def test_a_table_that_was_dropped_and_made_again_has_a_reset_and_a_gap():
    used = 1000 + DAYS + noise(300, 1)
    used[200:210] = np.nan
    used[210:] -= 1190
    found = [(row["event"], row["resource"]) for row in rows_of(table__orders=used)]
    assert sorted(found) == [("gap", "orders"), ("reset", "orders")]


def test_a_resize_is_an_event_and_a_rotation_is_one_event():
    capacity = np.where(DAYS < 250, 500.0, 900.0)
    rotated = 100 + DAYS % 30 * 10.0
    found = rows_of(filesystem__var={"used": DAYS * 1.0, "capacity": capacity}, table__log=rotated)
    assert [(row["event"], row["size"]) for row in found if row["resource"] == "var"] == [("resized", 400)]
    assert [row["event"] for row in found if row["resource"] == "log"] == ["recurring steps"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, 1), (1234567.89, 1234568), (0.123456789, 0.123457), (12.3456789, 12.3457), (-0.5, -0.5), (0.0, 0),
     (float("nan"), None), (float("inf"), None), (None, None), (1e300, 1e300)],
)  # fmt: skip
def test_figures_are_raw_and_without_digits_that_nobody_measured(value, said):
    assert number(value) == said


def test_the_example_of_the_page_is_what_the_report_says():
    days = np.arange(100)
    used = (40 + 1.0 * days + 12.0 * (days >= 50) + noise(100, 0.3)) * GIB
    made = report("acme", table(**{"filesystem__db1:/var": {"used": used, "capacity": 240 * GIB}}), CapacityPolicy(),
                  TODAY, 400, 90, 20)  # fmt: skip
    (row,), (event,) = made.rows, attached(made, "events")
    page = (ROOT / "docs" / "capacity_report.md").read_text()
    example = " ".join(page[page.index("## An example") :].split())
    told = {
        f"it holds {row['used'] / GIB:.1f} GiB",
        f"says {np.polyfit(days, used / GIB, 1)[0]:.2f} GiB a day",
        f"`step up`, {event['size'] / GIB:.1f} GiB",
        f"finds {row['growth_per_day'] / GIB:.2f} GiB a day",
        f"70 % is {row['threshold'] / GIB:.0f} GiB",
        f"`days_to_threshold` is {row['days_to_threshold']:.0f}, and {row['days_to_threshold_low']:.0f} to "
        f"{row['days_to_threshold_high']:.0f} by the band",
        f"it will hold {row['forecast_30'] / GIB:.0f} GiB ({row['forecast_30_low'] / GIB:.0f} to "
        f"{row['forecast_30_high'] / GIB:.0f})",
        f"The verdict is `{row['verdict']}`; the action says to {row['recommended_action']}",
        f"`covered_pct` is {row['covered_pct']:.0f}",
    }
    assert not [sentence for sentence in told if sentence not in example]
