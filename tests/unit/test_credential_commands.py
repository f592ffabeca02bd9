"""Credentials that a program rotates: run with its secrets out of sight, proven by what was seen to change."""

import json
import ssl
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deployments.demo.certificates import make
from tasks.base.credentials import Credential
from tasks.base.errors import ConfigurationError, IncompleteError, NightshiftError, RefusedError, UnreachableError
from tasks.base.words import Verdict
from tasks.credentials import command
from tasks.credentials.places import place_of_password
from tasks.repository.local import LocalStore
from tasks.repository.rotations import Rotations, Step

TOKEN = "planted-admin-token"
NEW = "planted-new-key"


@contextmanager
def serving(answer, certificate=None):
    """A server on loopback whose status comes from `answer(headers)`; by TLS with the files of `certificate()`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answer(self.headers))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        plain = server.get_request

        def get_request():
            connection, address = plain()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate())
            return context.wrap_socket(connection, server_side=True), address

        server.get_request = get_request
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def rotations(tmp_path):
    return Rotations(LocalStore(str(tmp_path / "repository")), "acme", "run1")


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def api_key(tmp_path, port, script, **more):
    (tmp_path / "token").write_text(TOKEN)
    return Credential.model_validate(
        {
            "name": "payments",
            "kind": "api-key",
            "max_age_days": 30,
            "command": {
                "arguments": [program(tmp_path, "new-key", script)],
                "environment": {"TOKEN": f"file:{tmp_path / 'token'}"},
                "stdin": f"file:{tmp_path / 'token'}",
                **more,
            },
            "proof": {"kind": "request", "url": f"http://127.0.0.1:{port}/me", "secret": f"file:{tmp_path / 'key'}"},
        }
    )


def known(*secrets, status=200):
    """An API that answers so to these, and to nobody else."""
    return lambda headers: status if headers["Authorization"].removeprefix("Bearer ") in secrets else 401


def steps(rotations):
    return [one.step for one in rotations._records]


def test_a_program_gets_its_secrets_unseen_and_the_new_key_is_proven(tmp_path, rotations):
    (tmp_path / "key").write_text("old")
    script = (
        f'tr "\\0" " " < /proc/$$/cmdline > {tmp_path}/seen; cat > {tmp_path}/stdin; echo "$TOKEN" > {tmp_path}/env\n'
    )
    script += f"echo {NEW} > {tmp_path}/key; echo {NEW}; echo {NEW} >&2"
    with serving(known(NEW)) as port:
        one = api_key(tmp_path, port, script)
        assert command.plan(one, rotations).verdict is Verdict.INFO
        assert (tmp_path / "key").read_text() == "old", "a plan runs nothing"
        assert command.rotate(one, rotations).verdict is Verdict.OK
        assert command.rotate(one, rotations).message.endswith("by this run before"), "a second try runs nothing"
    assert (tmp_path / "env").read_text().strip() == (tmp_path / "stdin").read_text() == TOKEN
    assert TOKEN not in (tmp_path / "seen").read_text()
    assert steps(rotations) == [Step.INTENDED, Step.PROVEN]
    stored = "".join(path.read_text() for path in (tmp_path / "repository").rglob("*.jsonl"))
    assert NEW not in stored
    assert TOKEN not in stored


@pytest.mark.parametrize(
    ("script", "status", "error", "reason"),
    [
        (f"echo {NEW} >&2; exit 3", 200, IncompleteError, "exit code 3, so whether payments was rotated is not known"),
        ("sleep 60", 200, IncompleteError, "did not end within 0.3 s"),
        ("true", 200, RefusedError, "ended well, but payments is not proven: .* holds the same as before"),
        ("echo planted-another > $0.key; mv $0.key ${0%/*}/key", 403, RefusedError, "answered 403 instead of 200"),
    ],
)
def test_what_fails_is_told_with_the_state_and_without_what_the_program_said(
    tmp_path, rotations, script, status, error, reason
):
    (tmp_path / "key").write_text("old")
    with serving(known("old", "planted-another", status=status)) as port:
        deadline = {"deadline_seconds": 0.3} if "sleep" in script else {}
        with pytest.raises(error, match=reason) as raised:
            command.rotate(api_key(tmp_path, port, script, **deadline), rotations)
    assert NEW not in str(raised.value)
    assert steps(rotations) == [Step.INTENDED, Step.FAILED]
    assert rotations.rotated_at("payments") is None


def test_an_interrupted_program_is_told_by_the_next_plan(tmp_path, rotations):
    rotations.record("payments", Step.INTENDED)
    (tmp_path / "key").write_text("old")
    with serving(known("old")) as port:
        check = command.plan(api_key(tmp_path, port, "true"), rotations)
    assert (check.verdict, "was interrupted, so what it did is not known" in check.message) == (Verdict.WARN, True)


def test_a_request_that_lets_everybody_through_or_does_not_answer_proves_nothing_so_nothing_is_run(tmp_path, rotations):
    (tmp_path / "key").write_text("old")
    with serving(lambda headers: 200) as port:
        one = api_key(tmp_path, port, f"echo {NEW} > {tmp_path}/key")
        for act in (command.plan, command.rotate):
            with pytest.raises(IncompleteError, match="answers 200 to a made-up credential too"):
                act(one, rotations)
    with pytest.raises(UnreachableError, match=r"/me does not answer \(ConnectError\)"):
        command.rotate(one, rotations)
    assert ((tmp_path / "key").read_text(), steps(rotations)) == ("old", [])


def test_what_another_run_rotated_meanwhile_is_not_rotated_again(tmp_path, rotations):
    (tmp_path / "key").write_text("old")
    other = Rotations(rotations._store, "acme", "run2")
    with serving(known(NEW)) as port:
        one = api_key(tmp_path, port, f"echo {NEW} > {tmp_path}/key; echo >> {tmp_path}/runs")
        assert command.rotate(one, other).verdict is Verdict.OK
        told = command.rotate(one, rotations)
    assert (told.verdict, told.message) == (Verdict.INFO, "was rotated by another run meanwhile; nothing was done")
    assert (tmp_path / "runs").read_text() == "\n"


def test_a_missing_program_or_secret_is_told_before_anything_is_done(tmp_path, rotations):
    one = api_key(tmp_path, 1, "true")
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigurationError, match="token cannot be read"):
        command.plan(one, rotations)
    (tmp_path / "new-key").unlink()
    with pytest.raises(ConfigurationError, match="no program that can be run"):
        command.plan(one, rotations)
    assert steps(rotations) == []


def test_a_certificate_is_proven_when_the_server_shows_a_new_and_valid_one(tmp_path, rotations):
    authority = make("authority", authority=True)
    trusted = authority.write(tmp_path / "ca.pem", with_key=False)
    place = make("127.0.0.1", authority, last_day=5).write(tmp_path / "server.pem")
    newer = make("127.0.0.1", authority, last_day=90).write(tmp_path / "newer.pem")
    make("127.0.0.1", make("stranger", authority=True)).write(tmp_path / "strange.pem")
    with serving(lambda headers: 200, certificate=lambda: place) as port:

        def renewed_by(script):
            return Credential.model_validate(
                {
                    "name": "web",
                    "kind": "certificate",
                    "command": {"arguments": [program(tmp_path, "renew", script)]},
                    "proof": {"kind": "served-certificate", "host": "127.0.0.1", "port": port, "ca_file": str(trusted)},
                }
            )

        with pytest.raises(RefusedError, match="shows the same certificate as before"):
            command.rotate(renewed_by("true"), rotations)
        with pytest.raises(RefusedError, match="is not valid: "):
            command.rotate(
                renewed_by(f"cp {tmp_path}/server.pem {tmp_path}/kept.pem; cp {tmp_path}/strange.pem {place}"),
                rotations,
            )
        place.write_bytes((tmp_path / "kept.pem").read_bytes())
        assert command.rotate(renewed_by(f"cp {newer} {place}"), rotations).verdict is Verdict.OK
    assert steps(rotations)[-1] is Step.PROVEN


def behind(tmp_path, write, read=()):
    place = {"kind": "command", "write": [write], "read": list(read), "staging": str(tmp_path)}
    fields = {"name": "app", "kind": "role", "max_age_days": 1, "role": "app", "place": place}
    return place_of_password("acme", Credential.model_validate(fields))


def test_a_place_behind_a_program_takes_the_password_on_its_input(tmp_path):
    vault = tmp_path / "vault"
    writes = program(tmp_path, "write", f'cat > {vault}; tr "\\0" " " < /proc/$$/cmdline > {tmp_path}/seen')
    place = behind(tmp_path, writes, [program(tmp_path, "read", f"cat {vault}")])
    place.check()
    place.write(NEW)
    assert (place.read(), place.readable) == (NEW, True)
    assert NEW not in (tmp_path / "seen").read_text()
    assert not behind(tmp_path, writes).readable
    place.stage(NEW)
    beside = Path(place.staged_at)
    assert (place.staged(), beside.stat().st_mode & 0o777) == (NEW, 0o600)
    place.unstage()
    assert not beside.exists()
    with pytest.raises(NightshiftError, match="exit code 4") as raised:
        behind(tmp_path, program(tmp_path, "write", "cat >&2; exit 4")).write(NEW)
    assert NEW not in str(raised.value)
    with pytest.raises(IncompleteError, match="did not tell what is kept"):
        behind(tmp_path, writes, [program(tmp_path, "read", f"cat {vault} >&2; exit 1")]).read()


def test_a_record_holds_no_more_than_it_says(rotations, tmp_path):
    rotations.record("app", Step.INTENDED, "role app, kept in /x")
    (path,) = (tmp_path / "repository").rglob("*.jsonl")
    assert set(json.loads(path.read_text())) == {"credential", "run_id", "at", "step", "host", "detail"}
