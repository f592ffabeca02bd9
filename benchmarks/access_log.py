"""The review of an access log against a plain read of the same file in Python, both on one core."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import Cost, engine

LINES = 1_000_000
DAY = datetime(2026, 11, 20, tzinfo=UTC)
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "curl/8.14.1",
)
_STATUS = (200,) * 88 + (304,) * 4 + (404,) * 5 + (401, 403, 502)
_ATTACKS = ("/.env", "/wp-login.php", "/.git/config", "/phpmyadmin/index.php")


def review(folder: Path, files: int) -> Cost:
    """The review of the log and of so many rotated files of it less one, in a process of its own."""
    written = _write(folder / "access" / "access.log")
    # Rotated files are others by their inodes: hard links would be one file that is read once.
    for number in range(1, files):
        if not (copy := written.with_name(f"access.log.{number}")).exists():
            shutil.copyfile(written, copy)
    pattern = f"{written}*" if files > 1 else str(written)
    return engine({"work": "review_log", "files": pattern, "since": DAY.isoformat(), "lines": files * LINES})


def read(folder: Path) -> Cost:
    """What anybody would write: for line in file, counting."""
    path = _write(folder / "access" / "access.log")
    return engine({"work": "read_lines", "path": str(path), "lines": LINES})


def _write(path: Path) -> Path:
    """A day of made traffic, nginx's combined format: a third of the paths have an id, a fifth a query, 1 % attack."""
    if path.exists():
        return path
    path.parent.mkdir()
    chosen = random.Random(20261121)  # noqa: S311
    with path.open("w", encoding="ascii") as file:
        for number in range(LINES):
            moment = DAY + timedelta(seconds=number * 86400 / LINES)
            file.write(
                f"203.0.{chosen.randrange(256)}.{chosen.randrange(256)} - - [{moment:%d/%b/%Y:%H:%M:%S +0000}] "
                f'"GET {_path(chosen)} HTTP/1.1" {chosen.choice(_STATUS)} {chosen.randrange(90000)} '
                f'"https://shop.example/" "{chosen.choice(_AGENTS)}"\n'
            )
    return path


def _path(chosen: random.Random) -> str:
    kind = chosen.random()
    if kind < 0.01:
        return chosen.choice(_ATTACKS)
    if kind < 0.33:
        return f"/orders/{chosen.randrange(10**7)}/items"
    query = f"?page={chosen.randrange(1000)}" if kind < 0.53 else ""
    return f"/{chosen.choice(('', 'search', 'login', 'assets/app.js', 'api/v1/products'))}{query}"
