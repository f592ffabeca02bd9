"""The statements of a period that are worth a person's time: the costliest, the new ones, those that became slower."""

from collections.abc import Callable, Sequence
from typing import Any

from tasks.base.attachments import Bar, BarChart
from tasks.base.clock import iso
from tasks.base.performance import Part, PerformancePolicy
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.review.deltas import Period, periods, since_reset
from tasks.postgres.review.snapshots import Snapshot

Counts = dict[str, float]
_SHOWN = 160
# The first server that explains a statement without its values.
_GENERIC_PLAN = 160_000


class Statements:
    """The statements of one database over a period, and over the one before it when there is one."""

    def __init__(self, now: Snapshot, history: Sequence[Snapshot], policy: PerformancePolicy, days: float) -> None:
        self.now, self.history, self.policy = now, history, policy
        self.period: Period = since_reset(now)
        self.before: Period | None = None
        if history:
            self.period, self.before = periods(history, now, days)

    def part(self) -> Part:
        """All lists as rows, what became slower or is new as checks."""
        lists = {name: self._top(figure) for name, figure in _FIGURES.items()}
        checks = [*self._about_period()]
        if self.before is not None:
            lists["regressed"], lists["new"] = self._regressed(), self._new()
            checks += [self._said_regressed(key) for key in lists["regressed"]]
            checks += [self._said_new(key) for key in lists["new"]]
        rows = [self._row(name, place, key) for name, keys in lists.items() for place, key in enumerate(keys, 1)]
        return Part(checks=tuple(checks), rows=tuple(rows), attachments=self._pictures(lists))

    def _pictures(self, lists: dict[str, list[str]]) -> tuple[BarChart, ...]:
        """The costliest by total and by mean time, and what the slower ones took before and take now."""
        database, counts = self.now.database, self.period.counts
        charts = {
            ("total", "Time of statements in the period"): [(key, counts[key]["time_ms"]) for key in lists["total"]],
            ("mean", "Mean time of a call"): [(key, mean_ms(counts[key])) for key in lists["mean"]],
        }
        drawn = [
            BarChart(
                name=f"{database[:40]}-statements-{name}",
                title=f"{title}, {database}",
                unit="ms",
                bars=tuple(Bar(label=self._text(key), value=value) for key, value in bars),
            )
            for (name, title), bars in charts.items()
            if bars
        ]
        before = self.before.counts if self.before else {}
        slower = [
            Bar(label=f"{when}: {self._text(key)}", value=mean_ms(of[key]))
            for key in lists.get("regressed", [])
            for when, of in (("before", before), ("now", counts))
        ]
        if slower:
            name, title = (
                f"{database[:40]}-statements-slower",
                f"Mean time of statements that became slower, {database}",
            )
            drawn.append(BarChart(name=name, title=title, unit="ms", bars=tuple(slower)))
        return tuple(drawn)

    def _top(self, figure: Callable[[Counts], float]) -> list[str]:
        """The keys with the largest figure, those without any left out."""
        minimum = self.policy.minimum_calls if figure is mean_ms else 1
        found = [(figure(counts), key) for key, counts in self.period.counts.items() if counts["calls"] >= minimum]
        return [key for value, key in sorted(found, reverse=True)[: self.policy.top] if value > 0]

    def _regressed(self) -> list[str]:
        """Those whose mean grew by the factor, and that cost more by what matters; the costliest first."""
        costs = {
            key: counts["calls"] * (mean_ms(counts) - mean_ms(former)) / 1000
            for key, counts in self.period.counts.items()
            if (former := self._comparable(key, counts))
            and mean_ms(counts) >= self.policy.slower_factor * mean_ms(former)
        }
        found = [key for key, seconds in costs.items() if seconds >= self.policy.matters_seconds]
        return sorted(found, key=lambda key: costs[key], reverse=True)[: self.policy.top]

    def _comparable(self, key: str, counts: Counts) -> Counts | None:
        """The statement's counts of the period before, when it was called often enough in both."""
        former = self.before.counts.get(key) if self.before else None
        enough = self.policy.minimum_calls
        return former if former and min(former["calls"], counts["calls"]) >= enough else None

    def _new(self) -> list[str]:
        """Those that no snapshot of both periods knows, neither by their id nor by their text."""
        keys = {key for one in self.history for key in one.entries}
        texts = {label for one in self.history for label in one.labels.values()}
        found = [
            key
            for key, counts in self.period.counts.items()
            if key not in keys
            and self.now.labels.get(key) not in texts
            and counts["time_ms"] / 1000 >= self.policy.matters_seconds
        ]
        return sorted(found, key=lambda key: self.period.counts[key]["time_ms"], reverse=True)[: self.policy.top]

    def _about_period(self) -> list[CheckResult]:
        """What the figures cover, and everything that makes them less than the truth."""
        period, seconds = self.period, sum(counts["time_ms"] for counts in self.period.counts.values()) / 1000
        called = sum(1 for counts in period.counts.values() if counts["calls"])
        covers = f"{called} statements took {seconds:.1f} s from {iso(period.start)} to {iso(period.end)}"
        if self.before is None:
            wait = "no period to compare with yet; the next review has one"
            found = [self._check(Verdict.SKIP, wait), self._check(Verdict.INFO, f"since the reset {covers}")]
        else:
            found = [self._check(Verdict.OK, f"{covers} ({period.days:.1f} days)")]
        found += [self._check(Verdict.INFO, f"its counters were reset at {iso(at)}; what was before is not in it")
                  for at in period.resets]  # fmt: skip
        if period.other_server:
            message = "another server answered than in the last review; what it counted before is left out"
            found.append(self._check(Verdict.WARN, message))
        if period.evictions and self.before is not None:
            message = (
                f"pg_stat_statements threw out statements {period.evictions} times, {period.lost} of the last review "
                "are gone: figures are lower bounds, and what looks new may only have come back"
            )
            command = "ALTER SYSTEM SET pg_stat_statements.max = 20000 -- and restart"
            found.append(self._check(Verdict.WARN, message, next_command=command))
        return found

    def _said_regressed(self, key: str) -> CheckResult:
        counts, former = self.period.counts[key], (self.before.counts[key] if self.before else {})
        mean, was = mean_ms(counts), mean_ms(former)
        message = (
            f"takes {mean:.2f} ms, {mean / max(was, 1e-6):.1f} times the {was:.2f} ms of the last period, "
            f"over {counts['calls']:.0f} calls: {self._text(key)}"
        )
        return self._check(Verdict.WARN, message, name="regressed statement", next_command=self._explain(key))

    def _explain(self, key: str) -> str:
        """What shows the plan: from 16 on the statement itself, when it is whole and all its values are $1, $2, …"""
        text = self.now.labels[key][1] if key in self.now.labels else "…"
        if self.now.gauges.get("server_version_num", 0) >= _GENERIC_PLAN and not {"?", "…"} & set(text):
            return f"EXPLAIN (GENERIC_PLAN) {text}"
        return "EXPLAIN (ANALYZE, BUFFERS) of the statement with values of its own, and look for an index that is gone"

    def _said_new(self, key: str) -> CheckResult:
        counts = self.period.counts[key]
        message = (
            f"is new: {counts['calls']:.0f} calls of {mean_ms(counts):.2f} ms, "
            f"{counts['time_ms'] / 1000:.1f} s in all: {self._text(key)}"
        )
        return self._check(Verdict.INFO, message, name="new statement")

    def _text(self, key: str) -> str:
        text = self.now.labels[key][1] if key in self.now.labels else ""
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    def _check(self, verdict: Verdict, message: str, name: str = "slow queries", next_command: str = "") -> CheckResult:
        return CheckResult(
            name=name, target=self.now.database, verdict=verdict, message=message, next_command=next_command
        )

    def _row(self, name: str, place: int, key: str) -> dict[str, Any]:
        counts, former = self.period.counts[key], (self.before.counts.get(key) if self.before else None)
        total = sum(one["time_ms"] for one in self.period.counts.values())
        role, text = self.now.labels.get(key, ("", ""))
        return {
            "database": self.now.database,
            "list": name,
            "place": place,
            "query_id": int(key.partition("/")[0]),
            "role": role,
            "calls": round(counts["calls"]),
            "total_ms": round(counts["time_ms"], 3),
            "time_share": round(counts["time_ms"] / total, 4) if total else 0,
            "mean_ms": round(mean_ms(counts), 3),
            "before_calls": round(former["calls"]) if former else "",
            "before_mean_ms": round(mean_ms(former), 3) if former and former["calls"] else "",
            "rows": round(counts["rows"]),
            "blocks_read": round(counts["blocks_read"]),
            "blocks_hit": round(counts["blocks_hit"]),
            "temp_blocks": round(temp_blocks(counts)),
            "io_ms": round(counts["io_ms"], 3),
            "period_start": iso(self.period.start),
            "period_end": iso(self.period.end),
            "statement": text,
        }


def mean_ms(counts: Counts) -> float:
    """Time of a call; 0 when there was none."""
    return counts["time_ms"] / counts["calls"] if counts["calls"] else 0.0


def temp_blocks(counts: Counts) -> float:
    """Blocks of temporary files, written and read."""
    return counts["temp_blocks_read"] + counts["temp_blocks_written"]


def _disk_blocks(counts: Counts) -> float:
    """Blocks that were not in shared buffers, or had to be written by the session itself."""
    return counts["blocks_read"] + counts["blocks_written"]


_FIGURES: dict[str, Callable[[Counts], float]] = {
    "total": lambda counts: counts["time_ms"],
    "mean": mean_ms,
    "rows": lambda counts: counts["rows"],
    "temp": temp_blocks,
    "io": _disk_blocks,
}
