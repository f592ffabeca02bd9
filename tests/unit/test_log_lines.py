"""Lines as real programs write them: what is counted, what is hidden, and that no bytes stop the reading."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.log_review import Container, LogKind, LogReviewPolicy, LogSource
from tasks.logs.collect import collect
from tasks.logs.messages import shape_of
from tests.unit.made_logs import IRREGULAR, SINCE, combined, failed, read

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


def test_a_part_of_a_line_is_not_joined_with_the_log_of_another_pod(tmp_path):
    (tmp_path / "1.log").write_text(f"2026-11-21T03:00:01.5Z stdout P {LINE} and\n")
    _, tally = read(tmp_path, LogKind.APPLICATION, WRAPPED[Container.CRI], "2.log", container=Container.CRI)
    assert failed(tally) == {("ada", "203.0.113.9"): 1}
    assert list(tally.messages) == ["ERROR Failed login for user ada from #"]
    assert tally.malformed == 1, "it is counted"


def test_other_payloads_in_containers_are_read_as_they_are_outside(tmp_path):
    docker = "".join(
        json.dumps({"log": line, "stream": "stdout", "time": "2026-11-21T03:00:01.5Z"}) + "\n"
        for line in (combined("/a", 404), combined("/b", 500))
    )
    _, tally = read(tmp_path, LogKind.ACCESS, docker + "no json\n", container=Container.DOCKER)
    assert (tally.total("4xx"), tally.total("5xx"), tally.malformed) == (1, 1, 1)


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
