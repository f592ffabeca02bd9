"""The capacity report and the cost review as flows: from stored samples to files that a spreadsheet opens."""

import io
from datetime import timedelta

import numpy as np
import pandas as pd

from flows.capacity_report import capacity_report
from flows.cost_review import cost_review
from tasks.base.clock import utc_now
from tasks.repository import samples
from tasks.repository.local import LocalStore
from tests.real.conftest import change_system
from tests.unit.capacity import GIB, noise, table


def keep(place, **series):
    """Put samples that end today into the repository of 'acme'."""
    today = utc_now().date()
    samples.append(LocalStore(str(place)), "acme", table(**{k: {**v, "end": today} for k, v in series.items()}), "r1")


def files(place, flow):
    """The report files of the newest run, by name."""
    newest = max((place / "acme" / "reports" / flow).iterdir(), key=lambda folder: folder.stat().st_mtime)
    return {path.name: path.read_bytes() for path in newest.iterdir()}


def test_a_report_of_stored_samples_has_its_files_and_opens_with_the_right_types(system):
    days = np.arange(200)
    keep(
        system,
        filesystem__var={"used": (20 + 0.2 * days + noise(200, 0.1)) * GIB, "capacity": 90 * GIB},
        table__orders={"used": days * GIB},
    )
    result = capacity_report("acme", return_state=True).result(raise_on_failure=False)
    assert str(result.verdict) == "WARN", result
    kept = files(system, "capacity_report")
    assert {"report.csv", "growth.csv", "events.csv", "accuracy.csv", "report.html", "result.json"} < set(kept)
    assert "01-filesystem-var.png" in kept
    found = pd.read_csv(io.BytesIO(kept["report.csv"]), parse_dates=["first", "last"])
    numbers = found.columns[found.columns.get_loc("capacity") : found.columns.get_loc("verdict")]
    assert all(pd.api.types.is_numeric_dtype(found[name]) for name in [*numbers, "covered_pct", "samples"])
    assert found["first"].dt.date.tolist() == [utc_now().date() - timedelta(days=199)] * 2
    # An ad hoc period that ended a hundred days ago knows nothing of what came since.
    until = utc_now().date() - timedelta(days=100)
    former = capacity_report("acme", until=str(until), days=50, return_state=True).result(raise_on_failure=False)
    assert [(row["last"], row["samples"]) for row in former.rows] == [(str(until), 50)] * 2
    assert former.rows[0]["verdict"] == "growing"


def test_without_samples_it_says_so_and_a_wrong_day_is_one_sentence(system):
    state = capacity_report("acme", return_state=True)
    assert state.name == "With warnings"
    assert "there are no samples" in state.message
    refused = capacity_report("acme", until="21.11.2026", return_state=True)
    assert refused.is_failed()
    assert "until=21.11.2026 is no date; write it as 2026-11-21" in refused.message


def test_a_cost_review_prices_what_stood_unused(system):
    change_system(capacity={"prices": [{"kind": "volume", "per_month": 0.5, "amount": GIB}], "currency": "USD"})
    keep(system, volume__data={"used": [7 * GIB] * 40, "capacity": 110 * GIB})
    result = cost_review("acme", return_state=True).result(raise_on_failure=False)
    assert [(row["finding"], row["saved_per_month"], row["currency"]) for row in result.rows] == [
        ("oversized", 50.0, "USD")
    ]
    header = files(system, "cost_review")["report.csv"].decode().splitlines()[0]
    assert header == (
        "system,finding,kind,resource,unit,size,can_be_saved,saved_per_month,currency,evidence,since,recommended_action"
    )
