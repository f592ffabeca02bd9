"""The review of an access log and a plain read of it, as `benchmarks.engine` runs them."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.base.log_review import LogKind, LogReviewPolicy, LogSource
from tasks.logs.collect import collect


def review_log(job: dict[str, Any]) -> str:
    """All that is counted in the log. Raises RuntimeError when a line is missing."""
    since = datetime.fromisoformat(job["since"])
    source = LogSource(name="access", kind=LogKind.ACCESS, files=(job["files"],))
    _, tally = collect(source, LogReviewPolicy(), since, since + timedelta(days=1))
    if tally.reviewed != job["lines"]:
        raise RuntimeError(f"{tally.reviewed} lines of {job['lines']} were reviewed")
    return f"{tally.reviewed} lines, {tally.total('attacks')} attacks, {tally.total('5xx')} of 5xx"


def read_lines(job: dict[str, Any]) -> str:
    """The lines of the file, counted one by one and parsed as JSON or not. Raises RuntimeError when one is missing."""
    number, parse = 0, json.loads if job["as_json"] else None
    with Path(job["path"]).open(encoding="utf-8") as file:
        for line in file:
            number += 1
            if parse:
                parse(line)
    if number != job["lines"]:
        raise RuntimeError(f"{number} lines of {job['lines']} were read")
    return f"{number} lines"
