"""The table: what ours costs against the bare tools, medians of interleaved runs, in benchmarks/out/results.csv."""

import csv
import os
import sys
from pathlib import Path
from statistics import median

from benchmarks.prepared import bench
from benchmarks.rows import Row, rows

OUT = Path(__file__).with_name("out")
ROUNDS = 3
# By how the row's name begins.
MEMORY_BUDGETS_MB = {
    "access-log": 120, "backup": 300, "capacity-report": 700, "json-access-log": 200, "ledger-fold": 350,
    "ledger-report": 800,
}  # fmt: skip


def main() -> None:
    """Run all rows, or the one that ONLY names; exit code 1 when a goal is missed."""
    size_mb, only = int(os.environ.get("SIZE_MB") or 600), os.environ.get("ONLY") or ""
    with bench(size_mb) as prepared:
        chosen = [row for row in rows(prepared) if only in ("", row.name)]
        if not chosen:
            sys.exit(f"no row '{only}'; known are: {', '.join(row.name for row in rows(prepared))}")
        results = [run(row) for row in chosen]
    OUT.mkdir(exist_ok=True)
    with (OUT / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    sys.exit(1 if any(missed(result) for result in results) else 0)


def run(row: Row) -> dict[str, object]:
    """The medians of interleaved runs, printed and returned as a line of the CSV."""
    result: dict[str, object] = dict.fromkeys(("ours_seconds", "bare_seconds", "ratio", "goal", "peak_mb", "note"), "")
    if row.missing:
        result["note"] = row.missing
    else:
        pairs = [(row.bare(), row.ours()) for _ in range(ROUNDS)]
        bare, ours = (median(cost.seconds for cost in side) for side in zip(*pairs, strict=True))
        peak = max(cost.peak_mb for _, cost in pairs)
        result |= {
            "ours_seconds": round(ours, 3), "bare_seconds": round(bare, 3), "ratio": round(ours / bare, 3),
            "goal": "" if row.goal is None else row.goal, "peak_mb": round(peak, 1), "note": pairs[-1][1].said,
        }  # fmt: skip
    result = {"row": row.name, **result}
    print("  ".join(f"{name} {value}" for name, value in result.items() if value != ""), flush=True)
    return result


def missed(result: dict[str, object]) -> bool:
    """True when a ratio is over its goal or the memory over its budget."""
    ratio, goal, peak = (result[name] for name in ("ratio", "goal", "peak_mb"))
    if not isinstance(ratio, float) or not isinstance(goal, float) or not isinstance(peak, float):
        return False
    budgets = [budget for name, budget in MEMORY_BUDGETS_MB.items() if str(result["row"]).startswith(name)]
    return ratio > goal or any(peak > budget for budget in budgets)


if __name__ == "__main__":
    main()
