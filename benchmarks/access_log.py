"""The review of an access log against a plain read of the same file in Python, both on one core."""

import json
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
        if not (copy := written.with_name(f"{written.name}.{number}")).exists():
            shutil.copyfile(written, copy)
    return _review(f"{written}*" if files > 1 else written, files * LINES)


def review_json(folder: Path) -> Cost:
    """The review of a log with the same requests in JSON."""
    return _review(_write(folder / "access" / "access.json", as_json=True), LINES)


def read(folder: Path, name: str = "access.log") -> Cost:
    """What anybody would write: for line in file, counting; one in JSON is parsed, for it tells nothing otherwise."""
    as_json = name.endswith(".json")
    path = _write(folder / "access" / name, as_json=as_json)
    return engine({"work": "read_lines", "path": str(path), "as_json": as_json, "lines": LINES})


def _review(pattern: Path | str, lines: int) -> Cost:
    return engine({"work": "review_log", "files": str(pattern), "since": DAY.isoformat(), "lines": lines})


def _write(path: Path, *, as_json: bool = False) -> Path:
    """A day of made traffic as nginx writes it: a third of the paths have an id, a fifth a query, 1 % attack."""
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    chosen = random.Random(20261121)  # noqa: S311
    with path.open("w", encoding="ascii") as file:
        for number in range(LINES):
            moment = DAY + timedelta(seconds=number * 86400 / LINES)
            source = f"203.0.{chosen.randrange(256)}.{chosen.randrange(256)}"
            request, status = f"GET {_path(chosen)} HTTP/1.1", chosen.choice(_STATUS)
            size, agent = chosen.randrange(90000), chosen.choice(_AGENTS)
            if as_json:
                fields = {
                    "time_iso8601": moment.isoformat(timespec="seconds"), "remote_addr": source, "remote_user": "",
                    "request": request, "status": f"{status}", "body_bytes_sent": f"{size}",
                    "http_referer": "https://shop.example/", "http_user_agent": agent,
                }  # fmt: skip
                file.write(json.dumps(fields) + "\n")
                continue
            file.write(
                f"{source} - - [{moment:%d/%b/%Y:%H:%M:%S +0000}] "
                f'"{request}" {status} {size} "https://shop.example/" "{agent}"\n'
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
