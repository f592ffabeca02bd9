"""The monthly review of accounts and rights: one list for a person, which ends in that person's sign-off."""

from typing import Any

from prefect import flow

from flows import _access, _support
from tasks.access.book import Book
from tasks.access.models import Decision
from tasks.access.report import ReviewResult
from tasks.access.signing import Request, sign, waiting_check

FLOW = "access_review"


@flow(
    name=FLOW,
    flow_run_name=_access.run_name,
    persist_result=False,
    task_runner=_support.THREADS,
    **_support.HOOKS,
)
def access_review(
    system: str,
    sign_off: str = "",
    sha256: str = "",
    decision: Decision = "",
    signed_by: str = "",
    inactive: tuple[str, ...] = (),
    note: str = "",
    remind: bool = False,
) -> Any:
    """List who may do what in databases, on hosts and in clusters, and what changed; or sign such a list.

    Args:
        system: Name of the system, as its file in deployments/systems is called.
        sign_off: Id of the review that is signed by this run; empty to make a new review.
        sha256: SHA-256 that the report of the review told; refused when the stored one has another; with sign_off.
        decision: approve, approve-partly (what was seen of an incomplete review) or reject; with sign_off.
        signed_by: Who has read the list and decides; with sign_off.
        inactive: Accounts of the review that nobody needs any more, as its column 'account' names them; with sign_off.
        note: What else is to be remembered; with sign_off.
        remind: Look at nothing, only say which review waits for its sign-off.
    """
    with _support.begin(FLOW, system) as run:
        book, days = Book(run.store, run.system.name), run.system.access.sign_off_days
        if sign_off:
            request = Request(
                review_id=sign_off, sha256=sha256, decision=decision, signed_by=signed_by, inactive=inactive, note=note
            )
            check = sign(book, request, run.started_at, run.run_id)
            return _support.conclude(run, ReviewResult(**run.facts(), checks=(check,)))
        if remind:
            check = waiting_check(book, run.system.name, run.started_at, days)
            return _support.conclude(run, ReviewResult(**run.facts(), checks=(check,)))
        result = _access.review_all(run, book)
        return _support.conclude(run, result.with_checks(waiting_check(book, system, run.started_at, days)))
