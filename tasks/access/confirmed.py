"""Which accounts a signed review confirmed as inactive, and what of that still holds."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from tasks.access.book import Book
from tasks.base.clock import iso
from tasks.base.errors import ConfigurationError, RefusedError
from tasks.base.words import CheckResult, Frozen, Verdict


class Confirmed(Frozen):
    """A sign-off and the accounts of it that are asked for."""

    review_id: str
    review_sha256: str
    reviewed_at: datetime
    signed_by: str
    names: tuple[str, ...] = Field(description="SCOPE/NAME each")
    statements: dict[str, int] = Field(description="How many statements of them the review saw counted, by SCOPE/NAME")

    def of(self, scope: str) -> list[str]:
        """The names of the accounts in that scope."""
        return [name.removeprefix(f"{scope}/") for name in self.names if name.startswith(f"{scope}/")]

    def elsewhere(self, scopes: Sequence[str]) -> list[CheckResult]:
        """A line for each account that is in none of these scopes: it is disabled by hand."""
        begins = tuple(f"{scope}/" for scope in scopes)
        said = "is no role of these databases and is disabled by hand: usermod -L -e 1 NAME, or delete its binding"
        return [
            CheckResult(name="disable", target=name, verdict=Verdict.SKIP, message=said)
            for name in self.names
            if not name.startswith(begins)
        ]


def confirmed(book: Book, review_id: str, accounts: Sequence[str]) -> Confirmed:
    """The inactive accounts of the last decision about a review, or those of them that are named; empty: the last one.

    Raises MissingError for an unknown review; RefusedError when nobody signed it, when it was rejected, when a later
    review was signed, and for an account that was not confirmed or that a later review has seen in use;
    ConfigurationError when the sign-off confirmed none.
    """
    review, digest = book.review(review_id or book.last_signed())
    review_id = review.review_id
    decided = book.sign_off(review_id)
    if decided is None or decided.decision not in ("approve", "approve-partly"):
        said = f"was signed '{decided.decision}'" if decided else "is not signed"
        raise RefusedError(f"the review {review_id} {said}; only what a signed review confirms is disabled")
    later = [one for one in book.reviews if one.made_at > review.made_at]
    newer = next((one.review_id for one in later if book.sign_off(one.review_id)), None)
    if newer:
        raise RefusedError(f"the review {review_id} is no longer the last signed one; what counts is {newer}")
    unknown = sorted(set(accounts) - set(decided.inactive))
    if unknown:
        raise RefusedError(f"{decided.signed_by} did not confirm '{unknown[0]}' as inactive; sign the review again")
    if not decided.inactive:
        raise ConfigurationError(f"the sign-off of {review_id} confirms no inactive account; there is nothing to do")
    names = tuple(accounts) or decided.inactive
    for line in (line for one in later for line in one.lines if line.name in names):
        last = line.account.last_seen
        if last is not None and last > review.made_at:
            raise RefusedError(f"{line.name} was seen at {iso(last)}, after the review; it is in use: review again")
    return Confirmed(
        review_id=review_id,
        review_sha256=digest,
        reviewed_at=review.made_at,
        signed_by=decided.signed_by,
        names=names,
        statements={
            line.name: line.account.statements
            for line in review.lines
            if line.name in names and line.account.statements is not None
        },
    )
