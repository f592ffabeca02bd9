"""What costs money and is not needed: idle, oversized and old things, each with its evidence and its price."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import numpy as np

from tasks.base.capacity import CapacityPolicy
from tasks.base.units import human
from tasks.base.words import CheckResult, FlowResult, Verdict
from tasks.capacity.events import gone
from tasks.capacity.figures import number
from tasks.capacity.histories import Histories
from tasks.repository.manifest import BackupRef

# Nobody buys these: their limits are the server's own.
_NOT_BOUGHT = ("node pods", "sequence", "transaction age", "multixact age", "filesystem inodes", "slot", "swap")
# Smaller idle tables are told as one: nobody drops a table for less.
_SMALL_BYTES = 10 * 1024**2
# Storage of Kubernetes that somebody asked for and nothing uses, and what the finding is called.
_UNUSED = {
    "claim unused": "claim of no pod",
    "claim unbound": "claim without a volume",
    "volume unbound": "volume of no claim",
}
# So much of the idle days must have samples before anything is said about them.
_SAMPLED_SHARE = 0.6
# A database that only backups and monitoring open has no more sessions than these in a day.
_OWN_SESSIONS = 100.0
Row = dict[str, Any]


class CostResult(FlowResult):
    """One row per thing that costs more than it has to; what most can be saved first."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "system", "finding", "kind", "resource", "unit", "size", "can_be_saved", "saved_per_month", "currency",
        "evidence", "since", "recommended_action",
    )  # fmt: skip
    rows: tuple[Row, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The findings with raw figures; without a price for the kind the saving per month is empty."""
        return list(self.rows)


def review(
    system: str, grid: Histories, backups: Sequence[BackupRef], policy: CapacityPolicy, now: datetime, old_days: int
) -> tuple[list[Row], list[CheckResult]]:
    """All findings, those that save most first, and one check per question: OK, INFO with the sum, or SKIP.

    `grid` holds at least the policy's idle days. A question that samples cannot answer yet is SKIP with the reason.
    """
    live = grid.of(np.flatnonzero(~gone(grid))) if len(grid) else grid
    rows: list[Row] = []
    checks: list[CheckResult] = []
    for question, (found, unknown) in {
        "idle databases": _idle_databases(live, policy.idle_days),
        "idle tables": _idle_tables(live, policy.idle_days),
        "oversized": _oversized(live, policy),
        "unused volumes": (_unused(live, policy.idle_days), ""),
        "old backups": (_old_backups(backups, now, old_days), ""),
    }.items():
        priced = [_priced(system, row, policy) for row in found]
        rows += priced
        checks.append(_check(system, question, priced, unknown, policy))
    return sorted(rows, key=lambda row: (-(row["saved_per_month"] or 0), -(row["can_be_saved"] or 0))), checks


def _idle_databases(grid: Histories, days: int) -> tuple[list[Row], str]:
    """Databases of which no table was read by an index or written, and that nobody but operations opens."""
    known = _sampled(grid, days)
    use, found = grid.kinds == "table use", []
    sessions = {str(grid.resources[one]): one for one in np.flatnonzero((grid.kinds == "sessions") & known).tolist()}
    for one in np.flatnonzero(grid.kinds == "database").tolist():
        name = str(grid.resources[one])
        mine = [table for table in np.flatnonzero(use).tolist() if str(grid.resources[table]).startswith(f"{name}.")]
        if name not in sessions or not mine or not known[mine].all():
            continue
        opened = float(np.nanmean(grid.used[sessions[name], -days:]))
        if opened <= _OWN_SESSIONS and not np.nansum(grid.used[mine, -days:]):
            evidence = (
                f"none of its {len(mine)} largest tables was written or read by an index in {days} days; "
                f"{opened:.0f} sessions a day"
            )
            row = _row(grid, one, "idle database", float(grid.last_used[one]), evidence, days)
            found.append(row | {"recommended_action": "ask its owner; back it up, then drop it"})
    unknown = "" if sessions else f"sessions of its databases were not sampled for {days} days yet"
    return found, unknown


def _idle_tables(grid: Histories, days: int) -> tuple[list[Row], str]:
    """Tables that were not written, nor read by an index, in all the idle days; small ones as one row a database."""
    known = _sampled(grid, days)
    sizes = {str(grid.resources[one]): one for one in np.flatnonzero(grid.kinds == "table").tolist()}
    sampled = np.flatnonzero((grid.kinds == "table use") & known).tolist()
    evidence = f"no row written, no index scan in {days} days by stored samples"
    found, small = [], defaultdict(list)
    for one in sampled:
        name = str(grid.resources[one])
        if np.nansum(grid.used[one, -days:]) or name not in sizes:
            continue
        size = float(grid.last_used[sizes[name]])
        if size < _SMALL_BYTES:
            small[name.partition(".")[0]].append(size)
            continue
        row = _row(grid, sizes[name], "idle table", size, evidence, days)
        found.append(row | {"recommended_action": "ask its owner; archive it, then drop it"})
    for database, bytes_each in small.items():
        found.append(
            {
                "finding": "idle table", "kind": "table", "resource": f"{database} ({len(bytes_each)} small tables)",
                "unit": "bytes", "size": number(sum(bytes_each)), "can_be_saved": sum(bytes_each),
                "evidence": evidence, "since": _since(grid, days), "recommended_action": "leave them: they are small",
            }
        )  # fmt: skip
    return found, "" if sampled else f"the use of tables was not sampled for {days} days yet"


def _oversized(grid: Histories, policy: CapacityPolicy) -> tuple[list[Row], str]:
    """What never used more than the share of its capacity: limits, volumes, requests, disks, memory, CPU.

    What can be saved is all above the size at which the peak would stand at the resource's threshold.
    """
    days, found = policy.idle_days, []
    known = _sampled(grid, days) & ~np.isin(grid.kinds, _NOT_BOUGHT)
    limited = known & (grid.last_capacity > 0)
    for one in np.flatnonzero(limited).tolist():
        kind, name, unit = str(grid.kinds[one]), str(grid.resources[one]), str(grid.units[one])
        capacity, peak = float(grid.last_capacity[one]), float(np.nanmax(grid.used[one, -days:]))
        if peak > policy.oversized_share * capacity:
            continue
        rule = policy.threshold(kind, name)
        enough = peak / (rule.percent / 100 if rule else policy.oversized_share)
        evidence = f"used at most {human(peak, unit)} of {human(capacity, unit)} ({peak / capacity:.0%}) in {days} days"
        row = _row(grid, one, "oversized", capacity - enough, evidence, days)
        action = (
            f"{human(enough, unit)} would do: the peak would stand at its threshold" if enough else "never used: remove"
        )
        found.append(row | {"size": number(capacity), "recommended_action": action})
    return found, "" if limited.any() else f"nothing with a capacity was sampled for {days} days yet"


def _unused(grid: Histories, days: int) -> list[Row]:
    """Claims and volumes of Kubernetes that stood unused in all the samples of the idle days."""
    chosen = _sampled(grid, days) & np.isin(grid.kinds, list(_UNUSED))
    return [
        _row(
            grid, one, "unused", float(grid.last_used[one]), f"{_UNUSED[grid.kinds[one]]} for {days} days", days
        )
        | {"recommended_action": "see what it was for; keep a copy, then delete it"}
        for one in np.flatnonzero(chosen).tolist()
    ]  # fmt: skip


def _old_backups(backups: Sequence[BackupRef], now: datetime, old_days: int) -> list[Row]:
    """Backups older than so many days, by database and kind."""
    old: dict[tuple[str, str], list[BackupRef]] = defaultdict(list)
    for backup in backups:
        if now - backup.snapshot_at > timedelta(days=old_days):
            old[backup.database, str(backup.kind)].append(backup)
    sizes = {key: sum(one.stored_bytes for one in found) for key, found in old.items()}
    return [
        {
            "finding": "old backups", "kind": "backups", "resource": f"{database}/{kind}", "unit": "bytes",
            "size": sizes[database, kind], "can_be_saved": float(sizes[database, kind]),
            "evidence": f"{len(found)} backups are older than {old_days} days, the oldest of "
            f"{min(one.snapshot_at for one in found):%Y-%m-%d}",
            "since": f"{max(one.snapshot_at for one in found):%Y-%m-%d}",
            "recommended_action": f"see whether retention.kinds.{kind} keeps more than anybody needs",
        }
        for (database, kind), found in sorted(old.items())
    ]  # fmt: skip


def _sampled(grid: Histories, days: int) -> Any:
    """Which series have samples of most of the days, and one from before most of them had passed."""
    recent = np.isfinite(grid.used[:, -days:])
    return recent.sum(axis=1) >= _SAMPLED_SHARE * days


def _since(grid: Histories, days: int) -> str:
    found: date = grid.days[max(0, len(grid.days) - days)].astype(date)
    return str(found)


def _row(grid: Histories, one: int, finding: str, saved: float, evidence: str, days: int) -> Row:
    return {
        "finding": finding,
        "kind": str(grid.kinds[one]),
        "resource": str(grid.resources[one]),
        "unit": str(grid.units[one]),
        "size": number(grid.last_used[one]),
        "can_be_saved": saved,
        "evidence": evidence,
        "since": _since(grid, days),
    }


def _priced(system: str, row: Row, policy: CapacityPolicy) -> Row:
    price = policy.price(row["kind"], row["resource"])
    month = row["can_be_saved"] / price.amount * price.per_month if price else None
    whole = {
        "system": system,
        "saved_per_month": None if month is None else round(month, 2),
        "currency": policy.currency,
    }
    row = {**row, **whole, "can_be_saved": number(row["can_be_saved"])}
    return {name: row[name] for name in CostResult.csv_header}


def _check(system: str, question: str, rows: Sequence[Row], unknown: str, policy: CapacityPolicy) -> CheckResult:
    if unknown:
        command = f"nightshift run capacity_sample system={system}"
        return CheckResult(
            name=question, target=system, verdict=Verdict.SKIP, message=f"{unknown}: let samples be taken daily",
            next_command=command,
        )  # fmt: skip
    if not rows:
        return CheckResult(name=question, target=system, verdict=Verdict.OK, message="nothing found")
    saved = sum(row["saved_per_month"] or 0 for row in rows)
    priced = any(row["saved_per_month"] is not None for row in rows)
    worth = f", {saved:,.2f} {policy.currency} a month" if priced else "; no price is given for them in capacity.prices"
    message = f"{len(rows)} found{worth}: {rows[0]['resource']}: {rows[0]['evidence']}"
    return CheckResult(name=question, target=system, verdict=Verdict.INFO, message=message)
