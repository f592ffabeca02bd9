"""What a person reads of a review: a row an account, what changed first, and what could not be seen."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from tasks.access.models import Gap, Line, Review
from tasks.access.review import changes
from tasks.access.signing import sign_command
from tasks.base.clock import iso
from tasks.base.words import CheckResult, FlowResult, Verdict


class ReviewResult(FlowResult):
    """One row per account, what changed since the last signed review first."""

    csv_header: ClassVar[tuple[str, ...]] = (
        "account", "change", "scope", "name", "kind", "can_log_in", "rights", "added", "removed", "remarks",
        "last_seen", "seen_by", "since",
    )  # fmt: skip
    page_columns: ClassVar[tuple[str, ...]] = (
        "account", "change", "can_log_in", "rights", "added", "removed", "remarks", "last_seen", "seen_by", "since",
    )  # fmt: skip
    rows: tuple[dict[str, Any], ...] = ()
    to_do: tuple[str, ...] = ()

    def csv_rows(self) -> list[dict[str, object]]:
        """The accounts of the review."""
        return list(self.rows)

    def things_to_do(self) -> Sequence[str]:
        """Read, then sign."""
        return self.to_do


def rows_of(review: Review) -> list[dict[str, Any]]:
    """The review as rows of the CSV."""
    return [_row(line) for line in review.lines]


def checks_of(review: Review, digest: str) -> list[CheckResult]:
    """What was seen by scope, what was not and why, and what changed."""
    told = [_gap_check(gap) for gap in review.gaps]
    partly = {gap.scope for gap in review.gaps}
    for scope in review.scopes:
        count = sum(line.account.scope == scope and line.change != "gone" for line in review.lines)
        if scope not in partly:
            told.append(_check("accounts", scope, Verdict.OK, f"{count} accounts, all of them seen"))
    if not review.scopes:
        message = "the system file names nothing to look at; see 'access' in docs/configuration.md"
        told.append(_check("accounts", review.system, Verdict.SKIP, message))
    changed = changes(review)
    since = f"since the signed review {review.compared_with}" if review.compared_with else "no review was signed before"
    words = ", ".join(f"{count} {change}" for change, count in changed.items()) or "nothing changed"
    told.append(_check("changes", review.system, Verdict.INFO, f"{words}, {since}" if review.compared_with else since))
    told.append(_check("review", review.review_id, Verdict.INFO, f"stored with SHA-256 {digest}"))
    return told


def things_to_do(review: Review, digest: str) -> list[str]:
    """What a person does with the list, first things first."""
    command = sign_command(review, digest)
    settle = [f"{gap.scope}: {gap.reason}" for gap in review.gaps]
    if settle:
        return [*settle, f"review again; what was seen alone is signed by: {command} decision=approve-partly"]
    return [
        "read the list: every account that stays has an owner, every right a reason",
        f"sign: {command} decision=approve, with inactive='[\"SCOPE/NAME\"]' for those that nobody needs; or reject",
    ]


def _row(line: Line) -> dict[str, Any]:
    account = line.account
    return {
        "account": line.name,
        "change": line.change,
        "scope": account.scope,
        "name": account.name,
        "kind": account.kind,
        "can_log_in": account.can_log_in,
        "rights": _joined(account.rights),
        "added": _joined(line.added),
        "removed": _joined(line.removed),
        "remarks": _joined(line.remarks),
        "last_seen": iso(account.last_seen) if account.last_seen else "",
        "seen_by": account.seen_by,
        "since": iso(line.since),
    }


def _gap_check(gap: Gap) -> CheckResult:
    return _check("accounts", gap.scope, Verdict.FAIL if gap.failed else Verdict.SKIP, gap.reason)


def _joined(words: Iterable[str]) -> str:
    return "; ".join(words)


def _check(name: str, target: str, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name=name, target=target, verdict=verdict, message=message)
