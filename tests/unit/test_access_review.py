"""The review of accounts: what changed since the last signed one, and a sign-off that cannot lie."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tasks.access.book import Book
from tasks.access.models import Gap
from tasks.access.report import checks_of, rows_of
from tasks.access.review import make_review
from tasks.access.signing import Request, sign, waiting_check
from tasks.base.accounts import Account, Seen
from tasks.base.errors import ConfigurationError, CorruptError, MissingError, RefusedError
from tasks.base.findings import Finding, Severity
from tasks.base.words import Verdict
from tasks.repository.local import LocalStore

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
SCOPE = "postgres shop"


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def account(name, *rights, scope=SCOPE, last_seen=None, can_log_in=True):
    return Account(
        scope=scope, name=name, kind="database role", rights=rights, can_log_in=can_log_in, last_seen=last_seen
    )


def review(store, number, *accounts, gaps=(), failed=(), scopes=(SCOPE,), findings=()):
    """Make the review of that day, store it; it, read again."""
    book = Book(store, "acme")
    seen = [
        Seen(scope=scope, accounts=[one for one in accounts if one.scope == scope], gaps=gaps, findings=findings)
        for scope in scopes
    ]
    at = START + timedelta(days=number)
    book.add_review(make_review("acme", f"review{number}", at, scopes, seen, failed, book))
    found, _ = Book(store, "acme").review(f"review{number}")
    return found


def signed(store, number, decision="approve", by="maria", inactive=(), day=None, sha256=""):
    request = Request(
        review_id=f"review{number}", sha256=sha256, decision=decision, signed_by=by, inactive=inactive, note=""
    )
    at = START + timedelta(days=number if day is None else day)
    return sign(Book(store, "acme"), request, at, f"run{number}")


def waiting(store, day):
    return waiting_check(Book(store, "acme"), "acme", START + timedelta(days=day), 14)


def changed(found):
    return {line.name.removeprefix(f"{SCOPE}/"): line.change for line in found.lines if line.change}


def test_changes_are_counted_from_the_last_signed_review_and_not_from_the_last_one(store):
    first = review(store, 0, account("ada", "reads"), account("ben"), account("cleo", "a", "b"))
    assert changed(first) == {}, "nothing was signed before"
    signed(store, 0)
    unsigned = review(store, 30, account("ada", "reads", "superuser"), account("cleo", "a", "b"), account("dora"))
    assert changed(unsigned) == {"ada": "changed", "ben": "gone", "dora": "new"}
    again = review(store, 60, account("ada", "reads", "superuser"), account("cleo", "a"), account("dora"))
    assert changed(again) == {"ada": "changed", "ben": "gone", "cleo": "changed", "dora": "new"}
    lines = {line.account.name: line for line in again.lines}
    assert (lines["ada"].added, lines["cleo"].removed) == (("superuser",), ("b",))
    assert lines["ada"].since == START + timedelta(days=30), "these rights were first seen by the unsigned review"
    assert lines["cleo"].since == START + timedelta(days=60)
    signed(store, 60)
    last = review(store, 90, account("ada", "reads", "superuser"), account("cleo", "a"))
    assert changed(last) == {"dora": "gone"}
    assert lines["ada"].since == next(one for one in last.lines if one.account.name == "ada").since


def test_a_disabled_account_is_a_change_and_one_seen_once_is_remembered(store):
    seen_at = START - timedelta(days=3)
    review(store, 0, account("ada", last_seen=seen_at))
    signed(store, 0)
    found = review(store, 30, account("ada", can_log_in=False))
    assert changed(found) == {"ada": "changed"}
    assert rows_of(found)[0]["last_seen"] == "2025-12-29T06:00:00Z"


def test_what_was_not_seen_is_not_called_gone(store):
    review(store, 0, account("ada"), account("ben", scope="host web"), scopes=(SCOPE, "host web"))
    signed(store, 0)
    partly = review(store, 30, gaps=("pg_authid cannot be read; GRANT it",))
    assert changed(partly) == {"ada": "not seen", "host web/ben": "not seen"}
    failed = review(store, 31, scopes=(), failed=(Gap(scope=SCOPE, reason="does not answer", failed=True),))
    assert changed(failed)["ada"] == "not seen"
    assert not failed.is_complete


def test_rules_of_the_audit_stand_beside_the_account_that_they_are_about(store):
    def finding(rule, location):
        return Finding(identity=rule, scope=SCOPE, kind="access", severity=Severity.HIGH, rule=rule, location=location)

    findings = (finding("one", "ada"), finding("two", "ada: ALL (line 3)"), finding("three", "adam (x)"))
    found = review(store, 0, account("ada"), account("adam"), findings=findings)
    assert {line.account.name: line.remarks for line in found.lines} == {"ada": ("one", "two"), "adam": ("three",)}


def test_a_review_of_incomplete_data_cannot_be_signed_as_complete(store):
    review(store, 0, account("ada"), gaps=("shadow cannot be read; run as root",))
    with pytest.raises(RefusedError, match="cannot be approved: postgres shop: shadow cannot be read; run as root"):
        signed(store, 0)
    review(store, 1, scopes=())
    with pytest.raises(RefusedError, match="names nothing to look at"):
        signed(store, 1)
    review(store, 2, account("ada"), gaps=("shadow cannot be read; run as root",))
    said = signed(store, 2, "approve-partly")
    assert (said.verdict, "is not reviewed" in said.message) == (Verdict.WARN, True)
    assert waiting(store, 3).verdict is Verdict.WARN
    assert waiting(store, 20).verdict is Verdict.FAIL, "a part is no whole"


def test_a_sign_off_names_the_review_by_its_hash_and_a_changed_review_is_found_out(store, tmp_path):
    review(store, 0, account("ada"))
    said = signed(store, 0)
    (path,) = tmp_path.rglob("*-review0.json")
    assert sha256(path.read_bytes()).hexdigest() in said.message
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"ada"', b'"eve"'))
    with pytest.raises(CorruptError, match="the review review0 that maria signed has the SHA-256"):
        Book(store, "acme")
    path.unlink()
    with pytest.raises(CorruptError, match=r"SHA-256 \(none\), not"):
        Book(store, "acme")


def test_a_review_that_changed_between_reading_and_signing_is_not_signed(store, tmp_path):
    review(store, 0, account("ada"))
    (path,) = tmp_path.rglob("*-review0.json")
    read = sha256(path.read_bytes()).hexdigest()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"ada"', b'"eve"'))
    with pytest.raises(CorruptError, match=f"not {read} as it was read"):
        signed(store, 0, sha256=read)
    assert Book(store, "acme").sign_off("review0") is None
    path.write_bytes(path.read_bytes().replace(b'"eve"', b'"ada"'))
    assert read in signed(store, 0, sha256=read).message


def test_who_signs_is_told_when_the_review_is_about_the_signer_too(store):
    review(store, 0, account("Maria"), account("mar"))
    said = signed(store, 0, by="maria@example.org")
    assert (said.verdict, "is reviewed by it too (postgres shop/Maria): let" in said.message) == (Verdict.OK, True)
    assert "reviewed by it too" not in signed(store, 0, by="ben").message


def test_an_unsigned_review_becomes_overdue_and_a_newer_one_takes_no_delay_back(store):
    assert waiting(store, 0).verdict is Verdict.SKIP
    review(store, 0, account("ada"))
    found = waiting(store, 5)
    assert found.verdict is Verdict.WARN
    _, digest = Book(store, "acme").review("review0")
    assert f"sign_off=review0 sha256={digest} signed_by=NAME decision=approve" in found.next_command
    review(store, 10, account("ada"))
    assert waiting(store, 16).verdict is Verdict.FAIL
    assert "16 days (limit 14); the newest is review10" in waiting(store, 16).message
    signed(store, 10)
    assert waiting(store, 100).verdict is Verdict.OK
    signed(store, 10, "reject", day=11)
    assert waiting(store, 12).verdict is Verdict.WARN, "a decision can be taken back"
    assert waiting(store, 12).next_command == "nightshift run access_review system=acme"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"by": " "}, ConfigurationError, "add signed_by=NAME"),
        ({"decision": ""}, ConfigurationError, "add decision=approve"),
        ({"number": 7}, MissingError, "has no review 'review7'; the newest are: review0, review1"),
        ({"number": 0}, RefusedError, "is not the newest; read and sign review1"),
        ({"inactive": ["postgres shop/nobody"]}, ConfigurationError, "has no account 'postgres shop/nobody'"),
        ({"inactive": ["postgres shop/ada"], "decision": "reject"}, RefusedError, "confirms nothing"),
    ],
)
def test_a_sign_off_that_says_nothing_true_is_refused_and_records_nothing(store, change, error, message):
    for number in (0, 1):
        review(store, number, account("ada"))
    with pytest.raises(error, match=message):
        signed(store, **({"number": 1} | change))
    assert Book(store, "acme").sign_off("review1") is None
    found = signed(store, 1, inactive=["postgres shop/ada"])
    assert "account_disabling system=acme review=review1" in found.next_command


def test_every_scope_and_every_gap_is_a_line_of_the_verdict(store):
    failed = (Gap(scope="kubernetes main", reason="does not answer", failed=True),)
    found = review(store, 0, account("ada"), gaps=("no right; GRANT",), scopes=(SCOPE, "host web"), failed=failed)
    verdicts = {(check.target, check.verdict) for check in checks_of(found, "abc")}
    assert verdicts >= {
        (SCOPE, Verdict.SKIP), ("host web", Verdict.SKIP), ("kubernetes main", Verdict.FAIL)
    }  # fmt: skip
