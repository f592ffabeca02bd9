"""The sign-off of a review by a person, and the reviews that still wait for theirs."""

from datetime import datetime, timedelta

from pydantic import Field

from tasks.access.book import Book
from tasks.access.models import Decision, Review, SignOff
from tasks.base.clock import iso
from tasks.base.errors import ConfigurationError, CorruptError, RefusedError
from tasks.base.words import CheckResult, Frozen, Verdict

_NAMED = 3


class Request(Frozen):
    """What a person says about a review."""

    review_id: str
    sha256: str = Field(default="", description="Of the review that was read, as its report tells; empty: not held")
    decision: Decision
    signed_by: str
    inactive: tuple[str, ...] = Field(description="Accounts as the review names them, SCOPE/NAME")
    note: str


def sign(book: Book, request: Request, at: datetime, run_id: str) -> CheckResult:
    """Record the decision, durably, and say what it means.

    Raises MissingError for an unknown review; CorruptError for one that is not as it was read; RefusedError for one
    that is not the newest, for approving what was not seen whole, and for a rejection that names inactive accounts;
    ConfigurationError for what is said wrong.
    """
    review, digest = book.review(request.review_id)
    if request.sha256 and request.sha256 != digest:
        raise CorruptError(
            f"the review {review.review_id} has the SHA-256 {digest}, not {request.sha256} as it was read; compare it "
            "with the store's versions, or review again"
        )
    _allowed(book, review, request)
    decided = SignOff(
        review_id=review.review_id,
        review_sha256=digest,
        decision=request.decision,
        signed_by=request.signed_by,
        at=at,
        inactive=request.inactive,
        note=request.note,
        run_id=run_id,
    )
    book.add_sign_off(decided)
    verdict = Verdict.OK if request.decision == "approve" else Verdict.WARN
    meant = {
        "approve": "it is done",
        "approve-partly": f"what it did not see is not reviewed: {_gaps(review)}",
        "reject": "put right what is wrong in it, then review again",
    }[request.decision]
    message = f"{request.signed_by} signed '{request.decision}' for the review with SHA-256 {digest}: {meant}"
    if own := _accounts_of(request.signed_by, review):
        message += f"; who signed is reviewed by it too ({', '.join(own)}): let another one look at that"
    command = ""
    if request.inactive:
        message += f"; {len(request.inactive)} accounts are confirmed as inactive, see what disabling them would do"
        command = f"nightshift run account_disabling system={review.system} review={review.review_id} asked_by=NAME"
    target = review.review_id
    return CheckResult(name="sign-off", target=target, verdict=verdict, message=message, next_command=command)


def waiting_check(book: Book, system: str, now: datetime, sign_off_days: int) -> CheckResult:
    """Whether a review waits for its sign-off: WARN, FAIL when it does so for longer than that; SKIP without a review.

    Counted from the first review behind the last approved one: a new review takes no delay back.
    """
    reviews = book.reviews
    if not reviews:
        return _result(system, Verdict.SKIP, "no review was made yet", f"nightshift run access_review system={system}")
    open_ones: list[Review] = []
    for review in reversed(reviews):
        if book.is_approved(review):
            break
        open_ones.insert(0, review)
    if not open_ones:
        decided = book.sign_off(reviews[-1].review_id)
        signed = f"by {decided.signed_by} on {iso(decided.at)}" if decided else ""
        return _result(system, Verdict.OK, f"the newest review, {reviews[-1].review_id}, is signed {signed}")
    newest, waits = open_ones[-1], now - open_ones[0].made_at
    _, digest = book.review(newest.review_id)
    late = waits > timedelta(days=sign_off_days)
    decided = book.sign_off(newest.review_id)
    said = f", which {decided.signed_by} signed '{decided.decision}'" if decided else ""
    message = (
        f"no review is approved since {iso(open_ones[0].made_at)}, {waits.days} days (limit {sign_off_days}); the "
        f"newest is {newest.review_id}{said}"
    )
    if not newest.is_complete:
        message += f"; it cannot be approved, for it did not see everything: {_gaps(newest)}"
    elif decided is not None:
        message += "; review again"
    return _result(system, Verdict.FAIL if late else Verdict.WARN, message, _command(system, newest, digest, decided))


def _command(system: str, newest: Review, digest: str, decided: SignOff | None) -> str:
    if decided is not None or not newest.is_complete:
        return f"nightshift run access_review system={system}"
    return f"{sign_command(newest, digest)} decision=approve"


def sign_command(review: Review, digest: str) -> str:
    """How a review that was read is signed: it names what was read, so that a changed one is not signed."""
    command = f"nightshift run access_review system={review.system} sign_off={review.review_id}"
    return f"{command} sha256={digest} signed_by=NAME"


def _accounts_of(person: str, review: Review) -> list[str]:
    """Accounts of the review that are called like the one who signs; names that differ otherwise cannot be told."""
    wanted = person.strip().casefold()
    return [line.name for line in review.lines if line.account.name.casefold() in (wanted, wanted.split("@")[0])]


def _allowed(book: Book, review: Review, request: Request) -> None:
    """Raises what `sign` says."""
    if not request.signed_by.strip():
        raise ConfigurationError("a sign-off names who signs; add signed_by=NAME")
    if not request.decision:
        raise ConfigurationError("a sign-off says what was decided; add decision=approve, approve-partly or reject")
    newest = book.reviews[-1]
    if newest.review_id != review.review_id:
        raise RefusedError(f"the review {review.review_id} is not the newest; read and sign {newest.review_id}")
    if request.decision == "approve" and not review.is_complete:
        raise RefusedError(
            f"the review {review.review_id} did not see everything and cannot be approved: {_gaps(review)}; "
            "settle that and review again, or sign decision=approve-partly, which leaves it waiting"
        )
    if request.decision == "reject" and request.inactive:
        raise RefusedError("a review that is rejected confirms nothing; leave 'inactive' empty, or approve it")
    known = {line.name for line in review.lines if line.change not in ("gone", "not seen")}
    unknown = sorted(set(request.inactive) - known)
    if unknown:
        raise ConfigurationError(
            f"the review {review.review_id} has no account '{unknown[0]}'; write them as its column 'account' does"
        )


def _gaps(review: Review) -> str:
    named = "; ".join(f"{gap.scope}: {gap.reason}" for gap in review.gaps[:_NAMED])
    rest = len(review.gaps) - _NAMED
    return (named or "the system file names nothing to look at") + (f"; and {rest} more" if rest > 0 else "")


def _result(system: str, verdict: Verdict, message: str, command: str = "") -> CheckResult:
    return CheckResult(name="sign-off", target=system, verdict=verdict, message=message, next_command=command)
