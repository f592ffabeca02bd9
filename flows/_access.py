"""Gathering accounts from every room that has some, a bounded number of scopes at a time."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows import _support
from tasks.access.book import Book
from tasks.access.models import Gap
from tasks.access.report import ReviewResult, checks_of, rows_of, things_to_do
from tasks.access.review import make_review
from tasks.base.accounts import Look, Seen
from tasks.host import access as hosts
from tasks.platform import access as clusters
from tasks.postgres import accounts as databases

Scope = tuple[str, Look]


def run_name() -> str:
    """The name of a run: what it reviews, signs or only reminds of."""
    parameters = flow_run.parameters
    signs, reminds = parameters.get("sign_off"), parameters.get("remind")
    what = f"sign-off {signs}" if signs else "reminder" if reminds else "all"
    return f"access_review {parameters.get('system')} {what}"


@task(name="look", task_run_name="{scope}", cache_policy=NO_CACHE, persist_result=False, **_support.RETRIES)
def look_at(scope: str, look: Look) -> Seen:  # noqa: ARG001 - the scope is the name of the task's run
    """Read the accounts of one scope; nothing is changed."""
    return look()


def review_all(run: _support.Run, book: Book) -> ReviewResult:
    """Look at all scopes, one that fails fails alone; store the review before anything is said of it."""
    scopes: list[Scope] = [*databases.looks(run.system), *hosts.looks(run.system), *clusters.looks(run.system)]
    outcomes = _support.bounded(scopes, run.system.security.parallel, lambda scope: look_at.submit(*scope), _gap)
    seen = [one for one in outcomes if isinstance(one, Seen)]
    failed = [one for one in outcomes if isinstance(one, Gap)]
    names = [scope for scope, _ in scopes]
    review = make_review(run.system.name, run.run_id, run.started_at, names, seen, failed, book)
    book.add_review(review)
    _, digest = book.review(review.review_id)
    return ReviewResult(
        **run.facts(),
        checks=tuple(checks_of(review, digest)),
        rows=tuple(rows_of(review)),
        to_do=tuple(things_to_do(review, digest)),
    )


def _gap(scope: Scope, error: Exception) -> Gap:
    return Gap(scope=scope[0], reason=_support.told(error), failed=True)
