"""Ages: the latest date that is known decides, and what nothing tells is unknown and never fresh."""

import os
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from deployments.demo.certificates import make
from tasks.base.clock import utc_now
from tasks.base.credentials import Credential
from tasks.base.errors import ConfigurationError
from tasks.base.findings import ScanState, Severity
from tasks.base.system import System
from tasks.base.words import Verdict
from tasks.credentials import plan
from tasks.credentials.ages import State, age_of, scannings
from tasks.repository.local import LocalStore
from tasks.repository.rotations import Rotations, Step
from tests.unit.tls import serving, tls

NOW, HERE = utc_now(), ZoneInfo("UTC")
HAND = {"kind": "service", "max_age_days": 30}


@pytest.fixture
def rotations(tmp_path):
    return Rotations(LocalStore(str(tmp_path / "repository")), "acme", "run1")


def credential(**fields):
    return Credential.model_validate({"name": "key", **HAND, **fields})


def days_ago(days):
    return (NOW - timedelta(days=days)).date()


def looked_at(one, rotations):
    ((scope, look),) = scannings([one], rotations, HERE)
    assert scope == "credential key"
    return look()


@pytest.mark.parametrize(
    ("days", "state", "severity"),
    [(1, State.FRESH, None), (24, State.DUE, Severity.LOW), (31, State.OVERDUE, Severity.HIGH)],
)
def test_a_stated_date_becomes_fresh_due_and_overdue(rotations, days, state, severity):
    one = credential(rotated_at=days_ago(days))
    assert age_of(one, rotations, HERE).state(NOW) is state
    scan = looked_at(one, rotations)
    assert [finding.severity for finding in scan.findings] == ([severity] if severity else [])
    assert scan.state.is_complete


def test_what_nothing_tells_is_unknown_and_a_finding(rotations):
    scan = looked_at(credential(), rotations)
    assert [(finding.rule, finding.severity) for finding in scan.findings] == [("rotation-unknown", Severity.MEDIUM)]


def test_it_is_one_finding_that_grows_worse(rotations):
    identities = {
        finding.identity
        for fields in ({}, {"rotated_at": days_ago(25)}, {"rotated_at": days_ago(99)})
        for finding in looked_at(credential(**fields), rotations).findings
    }
    assert len(identities) == 1


def test_the_journal_counts_only_what_was_proven(rotations):
    one = credential(rotated_at=days_ago(99))
    rotations.record("key", Step.INTENDED)
    assert rotations.interrupted("key").run_id == "run1"
    rotations.record("key", Step.TAKEN_BACK)
    assert age_of(one, rotations, HERE).state(NOW) is State.OVERDUE
    assert rotations.interrupted("key") is None
    rotations.record("key", Step.PROVEN)
    other = Rotations(rotations._store, "acme", "run2")
    assert age_of(one, other, HERE).known_by == "the journal"
    assert age_of(one, other, HERE).state(utc_now()) is State.FRESH
    assert other.proven_by("key", "run1")
    assert not other.proven_by("key", "run2")


def test_a_file_tells_its_date_and_a_missing_one_nothing(rotations, tmp_path):
    place = tmp_path / "id_ed25519"
    one = credential(kind="ssh-key", dated_by=str(place), rotated_at=days_ago(1))
    scan = looked_at(one, rotations)
    assert scan.state is ScanState.INCOMPLETE, "a source that cannot be read closes nothing"
    assert "cannot be looked at" in scan.reason
    assert age_of(one, rotations, HERE).age_days(NOW) is None
    place.write_text("key")
    written = (NOW - timedelta(days=99)).timestamp()
    os.utime(place, (written, written))
    one = credential(kind="ssh-key", dated_by=str(place))
    assert age_of(one, rotations, HERE).state(NOW) is State.OVERDUE
    later = (NOW + timedelta(days=99)).timestamp()
    os.utime(place, (later, later))
    assert "lies in the future" in looked_at(one, rotations).reason


@pytest.mark.parametrize(("last_day", "severity"), [(90, None), (5, Severity.LOW), (-0.5, Severity.CRITICAL)])
def test_a_certificate_has_its_own_end(rotations, tmp_path, last_day, severity):
    place = make("localhost", first_day=-20, last_day=last_day).write(tmp_path / "server.pem")
    one = credential(kind="certificate", max_age_days=None, dated_by=str(place))
    assert age_of(one, rotations, HERE).age_days(NOW) == pytest.approx(20, abs=0.2)
    assert [finding.severity for finding in looked_at(one, rotations).findings] == ([severity] if severity else [])


def test_a_certificate_is_read_in_both_forms_and_a_key_alone_is_none(rotations, tmp_path):
    made, place = make("localhost", first_day=-20, last_day=5), tmp_path / "server.der"
    place.write_bytes(made.certificate.public_bytes(Encoding.DER))
    assert age_of(credential(kind="certificate", dated_by=str(place)), rotations, HERE).known_by.startswith(
        "the certificate"
    )
    place.write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    assert age_of(credential(kind="certificate", dated_by=str(place)), rotations, HERE).known_by.startswith(
        "the date of"
    )


def test_the_certificate_of_a_postgresql_tells_its_age_by_its_own_protocol(rotations, tmp_path):
    secure = tls(make("localhost", first_day=-20).write(tmp_path / "postgres.pem"))

    def talk(connection):
        assert connection.recv(8)[4:] == (80877103).to_bytes(4)
        connection.sendall(b"S")
        secure(connection)

    with serving(talk) as port:
        proof = {"kind": "served-certificate", "host": "127.0.0.1", "port": port, "starttls": "postgres"}
        served = credential(kind="certificate", command={"arguments": ["/bin/true"]}, proof=proof)
        assert age_of(served, rotations, HERE).age_days(NOW) == pytest.approx(20, abs=0.2)
    lost = {**proof, "ca_file": str(tmp_path / "lost.pem")}
    served = credential(kind="certificate", command={"arguments": ["/bin/true"]}, proof=lost)
    assert "lost.pem cannot be read" in age_of(served, rotations, HERE).unread


def test_a_certificate_without_end_that_is_too_old_is_due_all_the_same(rotations, tmp_path):
    place = make("localhost", first_day=-40, last_day=4000).write(tmp_path / "server.pem")
    one = credential(kind="certificate", dated_by=str(place))
    assert age_of(one, rotations, HERE).state(NOW) is State.OVERDUE
    place.write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
    assert "cannot be read" in age_of(one, rotations, HERE).unread


def system(*entries):
    return System.model_validate(
        {
            "name": "acme",
            "databases": [{"name": "shop", "dsn": "service=shop"}],
            "repository": {"url": "file:///nowhere"},
            "credentials": {"entries": entries},
        }
    )


def test_the_plan_names_each_with_its_next_command_and_rotates_nothing_unasked(rotations, tmp_path):
    place = {"kind": "file", "path": str(tmp_path / "x")}
    role = {"kind": "role", "max_age_days": 30, "role": "app", "place": place}
    acme = system(
        {"name": "old", **role, "rotated_at": days_ago(50)},
        {"name": "young", **role, "role": "b", "place": place | {"path": "/b"}, "rotated_at": days_ago(1)},
        {"name": "mystery", **role, "role": "c", "place": place | {"path": "/c"}},
        {"name": "by-hand", **HAND, "rotated_at": days_ago(50), "by_hand": "ask the bank"},
        {"name": "gone", **HAND, "dated_by": "/nowhere/key"},
    )
    found = plan.standings(acme, rotations, ())
    assert [one.credential.name for one in found if one.is_to_be_rotated] == ["old"]
    facts = {"flow": "credential_rotation", "system": "acme", "run_id": "1", "started_at": NOW, "finished_at": NOW}
    late = {"kind": "credential", "status": "overdue", "location": "old", "title": "old was to be rotated"}
    late |= {"first_seen": "2026-01-01", "overdue_hours": 3.0}
    result = plan.result_of(acme, facts, found, {}, [late, late | {"kind": "secret"}], dry_run=True)
    verdicts = [(check.target, check.verdict) for check in result.checks]
    assert verdicts == [
        ("old", Verdict.WARN),
        ("young", Verdict.OK),
        ("mystery", Verdict.SKIP),
        ("by-hand", Verdict.WARN),
        ("gone", Verdict.INCOMPLETE),
        ("old", Verdict.FAIL),
    ]
    rows = {row["credential"]: row for row in result.csv_rows()}
    assert all(tuple(row) == result.csv_header for row in rows.values())
    assert rows["old"]["next"] == "nightshift run credential_rotation system=acme credentials=old dry_run=false"
    assert rows["by-hand"]["next"] == "ask the bank; then set rotated_at of by-hand in the system file"
    assert (rows["young"]["next"], rows["mystery"]["state"], rows["gone"]["age_days"]) == ("", "unknown", None)
    named = plan.standings(acme, rotations, ("*y*",))
    assert [one.credential.name for one in named if one.is_to_be_rotated] == ["young", "mystery"]
    with pytest.raises(ConfigurationError, match="no credential 'nope'; it has: old, young"):
        plan.standings(acme, rotations, ("nope",))


def test_what_failed_stays_told_though_its_age_is_young_until_it_is_rotated_or_a_date_is_stated(rotations):
    program = {"command": {"arguments": ["/bin/true"]}, "proof": {"kind": "command", "arguments": ["/bin/true"]}}
    entry = {"name": "key", **HAND, **program}
    facts = {"flow": "credential_rotation", "system": "acme", "run_id": "1", "started_at": NOW, "finished_at": NOW}

    def standing(**more):
        acme = system(entry | {"rotated_at": days_ago(1)} | more)
        (one,) = plan.standings(acme, rotations, ())
        result = plan.result_of(acme, facts, [one], {}, [], dry_run=True)
        return one.is_to_be_rotated, result.rows[0]["state"], result.checks[0].verdict, result.checks[0].message

    rotations.record("key", Step.INTENDED)
    rotations.record("key", Step.FAILED, "ended with exit code 3")
    due, state, verdict, message = standing()
    assert (due, state, verdict) == (True, "failed", Verdict.WARN)
    assert message.startswith("its last rotation failed (ended with exit code 3), so that it may not work; ")
    assert standing(rotated_at=utc_now().date())[:3] == (False, "fresh", Verdict.OK)
    rotations.record("key", Step.PROVEN)
    assert standing()[:3] == (False, "fresh", Verdict.OK)


def test_what_lies_beside_a_place_is_found_though_its_rotation_ended(rotations, tmp_path):
    place = {"kind": "file", "path": str(tmp_path / "password")}
    young = {"name": "app", "kind": "role", "max_age_days": 30, "role": "app", "rotated_at": days_ago(1)}
    (tmp_path / ".password.acme-app.nightshift-new").write_text("planted-beside")
    (one,) = plan.standings(system(young | {"place": place}), rotations, ())
    assert (one.is_due, one.is_to_be_rotated) == (False, True)


@pytest.mark.parametrize(
    ("mine", "theirs", "shared"),
    [
        ({"role": "b"}, {}, "'one' and 'two' share /x"),
        ({"place": {"kind": "file", "path": "/y"}}, {}, "share the role a of the first database"),
        (
            {"role": "b", "place": {"kind": "command", "write": ["/w", "x"], "staging": "/s"}},
            {"place": {"kind": "command", "write": ["/w", "x"], "staging": "/s"}},
            "share /w x",
        ),
        (
            {"role": "b", "place": {"kind": "env-file", "path": "/x", "variable": "V"}},
            {"place": {"kind": "env-file", "path": "/x", "variable": "V"}},
            "share V of /x",
        ),
        (
            {"place": {"kind": "passfile", "path": "/x"}, "database": "shop"},
            {"place": {"kind": "passfile", "path": "/x"}},
            r"share the entry \*:\*:\*:a of /x",
        ),
    ],
)
def test_two_credentials_that_would_overwrite_each_other_are_refused(mine, theirs, shared):
    role = {"kind": "role", "max_age_days": 1, "role": "a", "place": {"kind": "file", "path": "/x"}}
    with pytest.raises(ValidationError, match=shared):
        system({"name": "one", **role, **theirs}, {"name": "two", **role, **mine})
    entries = (
        {"place": {"kind": "passfile", "path": "/x"}},
        {"role": "b", "place": {"kind": "passfile", "path": "/x"}},
    )
    system(*({"name": name, **role, **entry} for name, entry in zip("cd", entries, strict=True)))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "role"}, "belong together"),
        ({"kind": "role", "role": "app"}, "a role needs 'place'"),
        ({"place": {"kind": "file", "path": "/x"}}, "belong to a role"),
        ({"command": {"arguments": ["/bin/true"]}}, "a command needs 'proof'"),
        ({"max_age_days": None}, "write max_age_days"),
        ({"proof": {"kind": "request", "url": "https://x", "secret": "env:KEY"}}, "cannot change while a run goes on"),
        (
            {
                "kind": "role",
                "role": "a",
                "place": {"kind": "env-file", "path": "/x", "variable": "V", "template": "a b"},
            },
            "nothing that would need quotes",
        ),
        ({"admin_dsn": "host=db password=x"}, "must hold no password"),
    ],
)
def test_a_wrong_entry_is_refused_with_what_to_write(fields, reason):
    with pytest.raises(ValidationError, match=reason):
        credential(**fields)
