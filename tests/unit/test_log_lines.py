"""Lines as real programs write them: what is counted, what is hidden, and that no bytes stop the reading."""

import gzip
import json
from datetime import UTC, datetime

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.log_review import Container, LogKind, LogReviewPolicy, LogSource
from tasks.logs.access import _PIECE, _without_numbers
from tasks.logs.attacks import ATTACKS
from tasks.logs.collect import collect
from tasks.logs.messages import shape_of
from tasks.logs.paths import AttackPaths, normalised, path_of

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


IRREGULAR = [
    # A quote that Apache escapes with a backslash, one that nginx writes as \x22, no request at all, no referrer.
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "GET /a\\"b HTTP/1.1" 404 5 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "GET /a\\x22b HTTP/1.1" 404 5 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "" 400 0 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "\\x16\\x03\\x01" 400 166 "-" "-"\n',
    '203.0.113.9 - - [21/Nov/2026:03:00:01 +0000] "GET /a HTTP/1.0" 404 -\n',
    '2001:db8::1 - ada lovelace [21/Nov/2026:03:00:01 +0000] "GET http://h/a HTTP/1.1" 404 5 "-" "-" 0.003 "x" "y"\n',
]


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


SSHD = """\
Nov 21 03:00:01 web1 sshd[811]: Failed password for root from 203.0.113.9 port 40022 ssh2
Nov 21 03:00:02 web1 sshd[811]: message repeated 4 times: [ Failed password for root from 203.0.113.9 port 40022 ssh2]
2026-11-21T03:00:03.123456+00:00 web1 sshd-session[812]: Invalid user planted from 203.0.113.9 port 40023
2026-11-21T03:00:04.123456+00:00 web1 sshd-session[812]: Failed password for invalid user planted from 203.0.113.9 port 40023 ssh2
2026-11-21T03:00:05+0000 web1 sshd[813]: Failed password for invalid user x from 198.51.100.1 port 1 ssh2 from 203.0.113.9 port 40024 ssh2
Nov 21 03:00:05 web1 sshd[813]: Failed password for planted!2 from 203.0.113.9 port 40025 ssh2
Nov 21 03:00:06 web1 sshd[814]: Failed publickey for ada from 192.0.2.1 port 5 ssh2: ED25519 SHA256:abc
Nov 21 03:00:07 web1 sshd[814]: Accepted publickey for ada from 192.0.2.1 port 5 ssh2: ED25519 SHA256:abc
Nov 21 03:00:08 web1 sudo:     ada : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh
Nov 21 03:00:09 web1 CRON[900]: pam_unix(cron:session): session opened for user root
"""  # noqa: E501


def test_the_lines_of_sshd_are_counted_once_and_names_of_nobody_are_not_shown(tmp_path):
    _, tally = read(tmp_path, LogKind.SSHD, SSHD)
    assert failed(tally) == {
        ("root", "203.0.113.9"): 5, ("(invalid user)", "203.0.113.9"): 2, ("(no usual name)", "203.0.113.9"): 1,
        ("ada", ""): 3,
    }  # fmt: skip
    assert (tally.reviewed, tally.malformed) == (10, 0)
    assert not tally.suspicious
    assert "planted" not in repr(tally)


def test_a_login_after_many_failures_from_the_same_source_is_remembered(tmp_path):
    line = "Nov 21 03:00:01 web1 sshd[1]: {} password for root from {} port 9 ssh2\n"
    text = line.format("Failed", "203.0.113.9") * 10 + line.format("Failed", "192.0.2.1") * 9
    text += line.format("Accepted", "203.0.113.9") + line.format("Accepted", "192.0.2.1")
    _, tally = read(tmp_path, LogKind.SSHD, text)
    assert {key: failures for key, (failures, _) in tally.suspicious.items()} == {("root", "203.0.113.9"): 10}


def test_a_time_without_a_year_is_of_the_year_that_fits(tmp_path):
    (tmp_path / "a").write_text("Dec 31 23:59:59 web1 sshd[1]: Failed password for root from 192.0.2.1 port 9 ssh2\n")
    source = LogSource(name="x", kind=LogKind.SSHD, files=(f"{tmp_path}/*",), timezone="Europe/Berlin")
    until = datetime(2027, 1, 1, 12, tzinfo=UTC)
    _, tally = collect(source, LogReviewPolicy(), SINCE, until)
    assert tally.newest == datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC).timestamp()


APPLICATION = [
    ("2026-11-21 03:00:01,5 WARN Failed login for user 'ada' from 203.0.113.9", ("ada", "203.0.113.9")),
    ("2026-11-21T03:00:01Z login failed user=ada ip=203.0.113.9", ("ada", "203.0.113.9")),
    (
        '{"time":"2026-11-21T03:00:01Z","msg":"Invalid credentials","user":"ada","ip":"2001:db8::1"}',
        ("ada", "2001:db8::1"),
    ),
    ('2026-11-21 03:00:01.000 UTC [77] FATAL:  password authentication failed for user "ada"', ("ada", "")),
    ("2026-11-21 03:00:01 +0000 authentication failure for user hunter/2!", ("hunter", "")),
]


@pytest.mark.parametrize(("line", "who"), APPLICATION)
def test_usual_wording_of_a_failed_login_is_known(tmp_path, line, who):
    _, tally = read(tmp_path, LogKind.APPLICATION, line + "\n")
    assert failed(tally) == {who: 1}


def test_sshd_and_pam_tell_one_attempt_once_whatever_the_system_file_adds(tmp_path):
    text = (
        "Nov 21 03:00:01 web1 sshd[8]: pam_unix(sshd:auth): authentication failure; rhost=203.0.113.9  user=root\n"
        "Nov 21 03:00:02 web1 sshd[8]: Failed password for root from 203.0.113.9 port 40022 ssh2\n"
        "Nov 21 03:00:03 web1 vpn[9]: AUTH_FAILED peer 203.0.113.9\n"
    )
    _, tally = read(tmp_path, LogKind.SSHD, text, failed_logins=(r"AUTH_FAILED peer (?P<source>\S+)",))
    assert failed(tally) == {("root", "203.0.113.9"): 1, ("", "203.0.113.9"): 1}


def test_the_system_file_adds_wording_of_its_own(tmp_path):
    text = "2026-11-21 03:00:01 UTC no entry for <ada> at 203.0.113.9\n2026-11-21 03:00:02 UTC a breach\n"
    pattern = r"no entry for <(?P<user>\w+)> at (?P<source>\S+)"
    _, tally = read(tmp_path, LogKind.APPLICATION, text, failed_logins=(pattern,), watch={"breach": "(?i)breach"})
    assert failed(tally) == {("ada", "203.0.113.9"): 1}
    assert tally.watched == {"breach": 1}


LINE = "2026-11-21 03:00:01 ERROR Failed login for user ada from 203.0.113.9"
WRAPPED = {
    Container.DOCKER: json.dumps({"log": LINE + "\n", "stream": "stdout", "time": "2026-11-21T03:00:01.5Z"}) + "\n",
    Container.CRI: f"2026-11-21T03:00:01.5Z stdout P {LINE[:30]}\n2026-11-21T03:00:01.6Z stdout F {LINE[30:]}\n",
    Container.TEXT: f"auth-1  | {LINE}\n",
}


@pytest.mark.parametrize("container", WRAPPED)
def test_what_a_container_puts_around_a_line_is_taken_off(tmp_path, container):
    _, tally = read(tmp_path, LogKind.APPLICATION, WRAPPED[container], container=container)
    assert failed(tally) == {("ada", "203.0.113.9"): 1}
    assert list(tally.messages) == ["ERROR Failed login for user ada from #"]
    assert tally.malformed == 0


def test_other_payloads_in_containers_are_read_as_they_are_outside(tmp_path):
    docker = "".join(
        json.dumps({"log": line, "stream": "stdout", "time": "2026-11-21T03:00:01.5Z"}) + "\n"
        for line in (combined("/a", 404), combined("/b", 500))
    )
    _, tally = read(tmp_path, LogKind.ACCESS, docker + "no json\n", container=Container.DOCKER)
    assert (tally.total("4xx"), tally.total("5xx"), tally.malformed) == (1, 1, 1)


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_rotated_files_are_read_once_and_a_cut_one_is_told(tmp_path, ending):
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[ending]
    data = pack((combined("/a", 404) * 1000).encode())
    (tmp_path / f"access.log.1{ending}").write_bytes(data)
    reading, tally = read(tmp_path, LogKind.ACCESS, combined("/b", 404), "access.log")
    assert (tally.reviewed, reading.missing) == (1001, [])
    if ending:
        (tmp_path / f"access.log.1{ending}").write_bytes(data[:-9])
        reading, _ = read(tmp_path, LogKind.ACCESS, combined("/b", 404), "access.log")
        assert "cut or damaged" in reading.missing[0]


def test_a_file_that_is_packed_at_this_moment_is_read_once(tmp_path):
    text = (combined("/a", 404) * 10).encode()
    (tmp_path / "access.log.1").write_bytes(text)
    _, tally = read(tmp_path, LogKind.ACCESS, gzip.compress(text)[:-5], "access.log.1.gz")
    assert tally.reviewed == 10


def test_a_file_that_is_rotated_while_the_log_is_read_is_read_once(tmp_path, monkeypatch):
    from tasks.logs import collect as module

    (tmp_path / "access.log").write_text(combined("/a", 404) * 10)
    (tmp_path / "access.log.1").write_text(combined("/b", 404) * 10)
    genuine = module.files_of

    def rotating(*arguments):
        for number, path in enumerate(genuine(*arguments)):
            yield path
            if number == 0:  # the first is read: now logrotate comes along
                data = (tmp_path / "access.log.1").read_bytes()
                (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(data))
                (tmp_path / "access.log.1").unlink()
                (tmp_path / "access.log").rename(tmp_path / "access.log.1")
                (tmp_path / "access.log").write_text(combined("/c", 404))

    monkeypatch.setattr(module, "files_of", rotating)
    source = LogSource(name="x", kind=LogKind.ACCESS, files=(f"{tmp_path}/access.log*",))
    reading, tally = collect(source, LogReviewPolicy(), SINCE, UNTIL)
    assert (tally.paths.counts, reading.missing) == ({("/a", 404): 10, ("/b", 404): 10, ("/c", 404): 1}, [])


def test_lines_that_say_nothing_are_counted_by_reason(tmp_path):
    text = combined().encode() + b"\0" * 50 + b"\n" + b"x" * (2 * 1024**2) + b"\n" + b"\xff\xfe" + combined().encode()
    reading, tally = read(tmp_path, LogKind.ACCESS, text + b"garbage\n" + combined().encode())
    assert reading.unreadable == {"binary": 1, "longer than 1 MiB": 1}
    assert (tally.malformed, reading.not_utf8, reading.lines) == (1, 1, 6)
    assert tally.reviewed == 3


ANYTHING = st.lists(
    st.one_of(
        st.binary(max_size=120).map(lambda data: data.replace(b"\n", b"")),
        st.text(max_size=60).map(lambda text: text.replace("\n", "").encode()),
        st.sampled_from(
            [line.encode().rstrip(b"\n") for line in (combined(), *IRREGULAR, *SSHD.splitlines(), *WRAPPED.values())]
        ).flatmap(lambda line: st.integers(0, len(line)).map(lambda cut: line[:cut].replace(b"\n", b""))),
    ),
    max_size=12,
)


@given(ANYTHING, st.sampled_from(LogKind), st.sampled_from(Container))
def test_no_bytes_stop_the_reading_and_every_line_is_accounted_for(tmp_path_factory, lines, kind, container):
    reading, tally = read(
        tmp_path_factory.mktemp("log"), kind, b"".join(line + b"\n" for line in lines), container=container
    )
    assert reading.missing == []
    assert reading.lines == len(lines)
    told = tally.reviewed + tally.outside + tally.malformed + sum(reading.unreadable.values())
    # Blank lines say nothing, a part of a line waits for its end, a record of a csvlog may have several lines.
    blank = sum(not line.decode("latin-1").strip() for line in lines)
    assert told <= len(lines)
    if kind is not LogKind.POSTGRES and container is Container.NONE:
        assert told >= len(lines) - blank


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
    folded = _without_numbers(np.frombuffer(text.encode(), np.uint8)).decode()
    attacks = AttackPaths((), ())
    assert normalised(f"/{folded}") == normalised(f"/{text}")
    assert attacks.attack(f"/{folded}") == attacks.attack(f"/{text}")


@given(st.binary(min_size=1, max_size=40), st.integers(0, 40))
def test_numbers_are_hidden_alike_wherever_a_piece_ends(text, shift):
    data = b"x" * (_PIECE - shift) + text
    plain = _without_numbers(np.frombuffer(b"xx" + text, np.uint8))[2:]
    assert _without_numbers(np.frombuffer(data, np.uint8))[-len(text) :] == plain


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


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ("ERROR order 4711 of 'ada' failed after 3.5s", "ERROR order # of <text> failed after #"),
        ("[error] 77#77: *9 open() \"/srv/x/y\" failed (2: No such file), client: 192.0.2.1, server: x",
         "[error] open() <text> failed (# No such file)"),
        ("ERROR password=planted for bob", "ERROR password=# for bob"),
        ("ERROR token is planted", "ERROR token is #"),
        ("FATAL password authentication failed", "FATAL password authentication failed"),
        ("FATAL Authorization: Bearer planted", "FATAL Authorization: #"),
        ("ERROR GET https://ada:planted@host/x?y=planted", "ERROR GET <url>"),
        ("ERROR no such user ada@example.org", "ERROR no such user <address>"),
        ("ERROR cannot read /home/planted/x.pem", "ERROR cannot read <path>"),
        ("ERROR bad \"planted", "ERROR bad <text>"),
    ],
)  # fmt: skip
def test_messages_are_grouped_without_what_is_somebodys(message, shape):
    assert shape_of(message) == shape


@given(st.text(max_size=300))
def test_every_message_has_a_short_shape_on_one_line(message):
    shape = shape_of(message)
    assert len(shape) <= 241
    assert "\n" not in shape
