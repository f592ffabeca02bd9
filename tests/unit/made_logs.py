"""Lines of access logs as real servers write them, and the review's reading of a file that holds some text."""

from datetime import UTC, datetime

from tasks.base.log_review import LogReviewPolicy, LogSource
from tasks.logs.collect import collect

SINCE, UNTIL = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)


def read(folder, kind, text, name="log", policy=None, **fields):
    """Reading and tally of one file with that content."""
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    source = LogSource(name="x", kind=kind, files=(f"{folder}/*",), **fields)
    return collect(source, policy or LogReviewPolicy(), SINCE, UNTIL)


def combined(path="/", status=200, at="21/Nov/2026:03:00:01 +0000", source="203.0.113.9", user="-", method="GET"):
    request = f"{method} {path} HTTP/1.1"
    return f'{source} - {user} [{at}] "{request}" {status} 512 "https://shop.example/?q=planted" "Mozilla/5.0"\n'


def hours_of(tally, measure):
    return {
        datetime.fromtimestamp(hour * 3600, UTC).hour: n for (hour, name), n in tally.hours.items() if name == measure
    }


def failed(tally):
    return dict(tally.failed.counts)


IRREGULAR = [
    # A quote that Apache escapes with a backslash, one that nginx writes as \x22, no request at all, no referrer.
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "GET /a\\"b HTTP/1.1" 404 5 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "GET /a\\x22b HTTP/1.1" 404 5 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "" 400 0 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "\\x16\\x03\\x01" 400 166 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "GET /a HTTP/1.0" 404 -\n',
    '2001:db8::1 - ada lovelace [21/Nov/2026:03:00:01 +0000] "GET http://h/a HTTP/1.1" 404 5 "-" "-" 0.003 "x" "y"\n',
]
