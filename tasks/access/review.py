"""Making a review: what every scope showed, held against the last signed review and all before."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from tasks.access.book import Book
from tasks.access.models import Change, Gap, Line, Review
from tasks.base.accounts import Account, Seen

Key = tuple[str, str, str]


def make_review(
    system: str,
    review_id: str,
    made_at: datetime,
    scopes: Sequence[str],
    seen: Iterable[Seen],
    failed: Iterable[Gap],
    book: Book,
) -> Review:
    """All accounts of all scopes that were looked at, those that are gone, and what could not be seen."""
    looked = list(seen)
    gaps = [*failed, *(Gap(scope=one.scope, reason=reason, failed=False) for one in looked for reason in one.gaps)]
    signed, before = book.last_approved(), book.reviews
    there = [line for line in signed.lines if line.change not in ("gone", "not seen")] if signed else []
    then = {_key(line.account): line for line in there}
    last = {_key(line.account): line for line in before[-1].lines if line.change != "gone"} if before else {}
    lines = [
        _line(account, one, then.get(_key(account)), last.get(_key(account)), made_at, first=signed is None)
        for one in looked
        for account in one.accounts
    ]
    found, whole = {_key(line.account) for line in lines}, set(scopes) - {gap.scope for gap in gaps}
    for key, line in then.items():
        if key not in found:
            change: Change = "gone" if key[0] in whole else "not seen"
            lines.append(line.model_copy(update={"change": change, "added": (), "removed": ()}))
    return Review(
        system=system,
        review_id=review_id,
        made_at=made_at,
        scopes=tuple(scopes),
        gaps=tuple(gaps),
        lines=tuple(sorted(lines, key=_order)),
        compared_with=signed.review_id if signed else "",
    )


def changes(review: Review) -> dict[str, int]:
    """How many lines changed how since the last signed review, zeros left out."""
    return dict(Counter(line.change for line in review.lines if line.change))


def _line(
    account: Account, seen: Seen, then: Line | None, last: Line | None, made_at: datetime, *, first: bool
) -> Line:
    """One account now; an earlier review may have seen it later than what the server still knows."""
    had, has = set(then.account.rights) if then else set(), set(account.rights)
    changed = then is not None and (had != has or then.account.can_log_in != account.can_log_in)
    new = then is None and not first
    same = last is not None and last.account.rights == account.rights
    known = [moment for moment in (account.last_seen, last.account.last_seen if last else None) if moment]
    return Line(
        account=account.model_copy(update={"last_seen": max(known, default=None)}),
        change="new" if new else "changed" if changed else "",
        added=tuple(sorted(has - had)) if changed else (),
        removed=tuple(sorted(had - has)) if changed else (),
        since=last.since if last is not None and same else made_at,
        remarks=_remarks(account, seen),
    )


def _remarks(account: Account, seen: Seen) -> tuple[str, ...]:
    """The rules under which findings of this account fall: their places begin with its name."""
    names = (account.name, f"{account.kind} {account.name}")
    begins = tuple(f"{name}{sign}" for name in names for sign in (" ", ": "))
    fitting = (one.rule for one in seen.findings if one.location in names or one.location.startswith(begins))
    return tuple(sorted(set(fitting)))


def _key(account: Account) -> Key:
    return account.scope, account.kind, account.name


def _order(line: Line) -> tuple[int, str, str]:
    """What a person must look at first: what changed, then the rest by place."""
    order = ("new", "changed", "gone", "not seen", "")
    return order.index(line.change), line.account.scope, line.account.name
