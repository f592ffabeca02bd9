"""The made history of the demo: a year that imports without a broken row, with its step, reset and gap in it."""

from datetime import date, timedelta

from deployments.demo.history import DAYS, GAP, write_history
from tasks.repository.samples_csv import read_csv

TODAY = date(2026, 11, 21)


def test_a_year_is_made_with_a_step_a_reset_and_a_gap(tmp_path):
    write_history(tmp_path / "history.csv", TODAY)
    found, broken = read_csv(tmp_path / "history.csv")
    assert broken == []
    by_name: dict[str, dict[int, float]] = {}
    for one in found:
        by_name.setdefault(one.sample.resource, {})[(one.at.date() - TODAY).days + DAYS] = one.sample.used
    assert set(range(DAYS)) - set(by_name["archive"]) == set(GAP)
    assert max(one.at.date() for one in found) == TODAY - timedelta(days=1)
    backups, staging = by_name["made-db1:/backups"], by_name["archive.public.staging"]
    assert backups[120] - backups[119] > 35 * 2**30
    assert staging[180] < 0.02 * staging[179]
    assert all(one.sample.used >= 0 for one in found)
    write_history(tmp_path / "again.csv", TODAY)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "history.csv").read_bytes()
