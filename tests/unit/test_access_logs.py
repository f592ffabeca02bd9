"""Access logs: what is counted of them, what is shown of a path, and what is known as an attack."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.base.log_review import LogKind
from tasks.logs.access_json import from_json, requests_of
from tasks.logs.attacks import ATTACKS
from tasks.logs.paths import AttackPaths, normalised, path_of
from tasks.logs.request_groups import _PIECE, without_numbers
from tasks.logs.requests import Request
from tests.unit.made_logs import IRREGULAR, combined, failed, hours_of, read


def test_an_access_log_gives_hours_paths_attacks_and_logins(tmp_path):
    lines = [
        combined("/orders/4711?token=planted"),
        combined("/orders/4712/items", 404),
        combined("/orders/4713/items", 404),
        combined("/.env", 404),
        combined("/.env", 200),
        combined("/api/login", 401, method="POST"),
        combined("/api/login", 401, method="POST"),
        combined("/admin", 401, user="ada"),
        combined("/admin", 401),
        combined("/a", 503, at="21/Nov/2026:04:59:59 +0100"),
        combined("/a", 500, at="20/Nov/2026:23:59:59 +0000"),
        combined("/a", 500, at="22/Nov/2026:01:00:00 +0100"),
    ]
    reading, tally = read(tmp_path, LogKind.ACCESS, "".join(lines))
    assert (reading.lines, tally.reviewed, tally.outside, tally.malformed) == (12, 10, 2, 0)
    assert {name: tally.total(name) for name in ("requests", "4xx", "5xx", "attacks", "failed logins")} == {
        "requests": 10, "4xx": 7, "5xx": 1, "attacks": 2, "failed logins": 3,
    }  # fmt: skip
    assert tally.paths.counts["/orders/:id/items", 404] == 2
    assert tally.paths.counts["/a", 503] == 1
    assert failed(tally) == {("", "203.0.113.9"): 2, ("ada", "203.0.113.9"): 1}
    assert (tally.attacked["/.env"].requests, tally.attacked["/.env"].served) == (2, 1)
    assert hours_of(tally, "requests") == {3: 10}
    assert "planted" not in repr(tally)


def test_the_hour_of_a_request_is_that_of_utc(tmp_path):
    at = ("22/Nov/2026:00:30:00 +0100", "20/Nov/2026:23:30:00 -0130", "21/Nov/2026:00:30:00 +0100")
    _, tally = read(tmp_path, LogKind.ACCESS, "".join(combined(at=one) for one in at))
    assert (hours_of(tally, "requests"), tally.outside) == ({23: 1, 1: 1}, 1)


@pytest.mark.parametrize("line", IRREGULAR)
def test_irregular_lines_are_read_as_well(tmp_path, line):
    _, tally = read(tmp_path, LogKind.ACCESS, combined() + line + combined("/b", 404))
    assert (tally.reviewed, tally.malformed, tally.total("4xx")) == (3, 0, 2)


JSON_LINES = [
    {"time_iso8601": "2026-11-21T03:00:01+00:00", "remote_addr": "203.0.113.9", "status": "404",
     "request": "GET /orders/4711?token=planted HTTP/1.1"},
    {"time_local": "21/Nov/2026:04:00:01 +0100", "remote_addr": "203.0.113.9", "status": 404,
     "request_method": "GET", "request_uri": "/orders/4711?token=planted"},
    {"msec": "1795230001.123", "remote_addr": "203.0.113.9", "status": 404, "method": "GET", "uri": "/orders/4711"},
]  # fmt: skip


@pytest.mark.parametrize("line", JSON_LINES)
def test_json_access_logs_say_the_same(tmp_path, line):
    _, tally = read(tmp_path, LogKind.ACCESS, json.dumps(line) + "\n")
    assert tally.paths.counts == {("/orders/:id", 404): 1}
    assert (tally.reviewed, tally.malformed) == (1, 0)


VALUES = {
    "time_iso8601": ["2026-11-21T03:00:01+00:00", "2026-11-21T23:30:00.5-01:00", "yesterday", ""],
    "msec": ["1795230001.123", 1795230001, 1795230001.5, None],
    "remote_addr": ["203.0.113.9", "", None],
    "client": ["192.0.2.1", ["192.0.2.1"]],
    "remote_user": ["ada", "-", "\xfc", 7],
    "status": ["404", 200, 401, 401.5, "4o4", 99, None],
    "request": [
        "GET /orders/4711?a=1 HTTP/1.1",
        "POST /login HTTP/1.1",
        "GET /.env HTTP/1.1",
        "/b",
        "GET ",
        "\n x",
        "",
    ],
    "method": ["POST", None],
    "uri": ["/token", "/a?b", ""],
    "other": [{"status": 500}, [1], "\ud800", 10**400],
}
# Most have what a request needs, each may have any other thing.
WHOLE = {"time_iso8601": "2026-11-21T03:00:01+00:00", "status": "404", "request": "GET /a HTTP/1.1"}
OBJECTS = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}).map(
    lambda value: WHOLE | value
)
ODD_LINES = st.sampled_from(
    ["{", "}", '{"status": 200', '{"status": 1}{"status": 2}', '{"a": "\x01"}', "{}", "x}", "[]"]
)


@example(
    [(json.dumps(value), 40) for value in (*JSON_LINES, WHOLE | {"request": "/b"}, WHOLE | {"remote_user": "ada"})]
)
@given(st.lists(st.tuples(st.one_of(OBJECTS.map(json.dumps), ODD_LINES), st.sampled_from([1, 40])), max_size=6))
def test_json_lines_are_understood_alike_whether_many_or_one_is_read_at_a_time(texts):
    lines = [text.encode() for text, times in [*texts, (json.dumps(JSON_LINES[0]), 40)] for _ in range(times)]
    columns, others = requests_of(lines, "UTC")
    many = [request for requests in columns for request in one_by_one(requests)]
    assert many, "the usual lines are read many at a time"
    found = [*many, *(from_json(line, "UTC") for line in others)]
    assert sorted(map(seen, found)) == sorted(seen(from_json(line, "UTC")) for line in lines)


def one_by_one(requests):
    columns = zip(requests.begins, requests.ends, requests.seconds, requests.status, requests.rows, strict=True)
    for begin, end, at, status, row in columns:
        yield Request(at, status, *requests.who(row), requests.text[begin:end])


def seen(request):
    return () if request is None else (int(request.at), *request[1:])


def test_a_broken_line_takes_no_other_with_it_and_one_that_is_not_utf_8_is_read(tmp_path):
    good = (json.dumps(JSON_LINES[0]) + "\n").encode()
    strange = good.replace(b"orders", b"\xff").replace(b"GET", b"PUT")
    reading, tally = read(tmp_path, LogKind.ACCESS, good * 100 + good[:40] + b"\n" + strange * 3 + good * 100)
    assert (tally.reviewed, tally.malformed, reading.not_utf8, reading.lines) == (203, 1, 3, 204)
    assert tally.paths.counts["/orders/:id", 404] == 200


@given(st.lists(st.sampled_from(["/a", "/b?x=1", "/orders/7", "/.env", "/login"]), max_size=40), st.data())
def test_columns_and_single_lines_count_the_same(tmp_path_factory, paths, data):
    status = [data.draw(st.sampled_from([200, 401, 404, 500])) for _ in paths]
    texts = [combined(path, code, method="POST") for path, code in zip(paths, status, strict=True)]
    folder = tmp_path_factory.mktemp("log")
    _, columns = read(folder, LogKind.ACCESS, "".join(texts))
    # One quote more in the last field, and the line is no regular one.
    _, single = read(folder, LogKind.ACCESS, "".join(text[:-1] + ' "-\n' for text in texts))
    for name in ("hours", "reviewed", "malformed", "newest"):
        assert getattr(columns, name) == getattr(single, name)
    assert columns.paths.counts == single.paths.counts
    assert columns.failed.counts == single.failed.counts
    assert {path: one.requests for path, one in columns.attacked.items()} == {
        path: one.requests for path, one in single.attacked.items()
    }


PARTS = st.sampled_from(
    ["/", "v1", "7", "42", "4711", "a", "id", "%41", "%2e%2e", ".", "x9", "%65nv", "0", "sql", "/.", "%70ma"]
)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_what_is_looked_up_as_one_is_shown_as_one(text):
    folded = without_numbers(np.frombuffer(text.encode(), np.uint8)).decode()
    attacks = AttackPaths((), ())
    assert normalised(f"/{folded}") == normalised(f"/{text}")
    assert attacks.attack(f"/{folded}") == attacks.attack(f"/{text}")


@given(st.binary(min_size=1, max_size=40), st.integers(0, 40))
def test_numbers_are_hidden_alike_wherever_a_piece_ends(text, shift):
    data = b"x" * (_PIECE - shift) + text
    plain = without_numbers(np.frombuffer(b"xx" + text, np.uint8))[2:]
    assert without_numbers(np.frombuffer(data, np.uint8))[-len(text) :] == plain


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/orders/4711/items?x=1", "/orders/:id/items"),
        ("/v2/oauth2/v12", "/v2/oauth2/:id"),
        ("/v2/orders/550e8400-e29b-41d4-a716-446655440000", "/v2/orders/:id"),
        ("/reset/planted", "/reset/:id"),
        ("/users/ada@example.org/mail", "/users/:id/mail"),
        ("/u/ada@example.org", "/u/:id"),
        ("/x/AbCdEfGhIjKl", "/x/:id"),
        ("http://user:planted@host/a;jsessionid=1", "/a"),
        ("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/…"),
        ("host.example:443", "-"),
    ],
)
def test_a_path_is_shown_without_ids_tokens_and_query(target, shown):
    assert normalised(path_of(target)) == shown


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/.env", "environment file"), ("/app/.git/config", "version control"), ("/x/../etc/passwd", "path traversal"),
        ("/static/..%2f..%2fetc/passwd", "path traversal"), ("/WP-LOGIN.php", "wordpress"),
        ("/dump.sql.gz", "database dump"), ("/x/id_ed25519", "keys and credentials"), ("/c99.php", "shell"),
        ("/actuator/heapdump", "spring actuator"),
        ("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "phpunit"), ("/our/trap", "of the system file"),
    ],
)  # fmt: skip
def test_known_attacks_are_known(path, name):
    assert AttackPaths(("/our/trap",), ()).attack(path).name == name
    assert AttackPaths(("/our/trap",), ("*",)).attack(path) is None


@pytest.mark.parametrize(
    "path", ["/", "/orders/1", "/environment", "/login", "/static/app.3f2.js", "/.well-known/acme-challenge/x"]
)
def test_ordinary_paths_are_no_attacks(path):
    assert AttackPaths((), ()).attack(path) is None


def test_every_attack_has_its_source():
    assert all("CVE-" in one.source or "CWE-" in one.source for one in ATTACKS)
