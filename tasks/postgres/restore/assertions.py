"""SQL assertions: a question put to the restored database, with the answer it must give."""

from decimal import Decimal, InvalidOperation

import psycopg
from psycopg import Connection

from tasks.base.backup import SqlAssertion
from tasks.base.words import CheckResult, Verdict


def assert_sql(connection: Connection[tuple[object, ...]], assertion: SqlAssertion) -> CheckResult:
    """Run one assertion, on a connection that commits by itself, and say whether it holds.

    A statement that fails is FAIL with the server's sentence.
    """
    try:
        # The statement is the operator's own, from the system file; it is run as it stands, without parameters.
        answer = connection.execute(assertion.sql.encode())
        rows = answer.fetchmany(2) if answer.description else []
    except psycopg.Error as error:
        return _result(assertion, (str(error).strip() or type(error).__name__).splitlines()[0])
    if len(rows) != 1 or len(rows[0]) != 1:
        found = ("no row", f"{len(rows[0])} values" if rows else "", "several rows")[len(rows)]
        return _result(assertion, f"returned {found}, one value is expected")
    return _result(assertion, _wrong("" if rows[0][0] is None else str(rows[0][0]), assertion))


def _wrong(value: str, assertion: SqlAssertion) -> str:
    """Empty when the value is as expected, else what is wrong."""
    if assertion.expect is not None and value != assertion.expect:
        return f"is '{value}', expected '{assertion.expect}'"
    if assertion.at_least is None and assertion.at_most is None:
        return ""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return f"is '{value}', which is no number"
    if assertion.at_least is not None and number < Decimal(str(assertion.at_least)):
        return f"is {value}, expected at least {_short(assertion.at_least)}"
    if assertion.at_most is not None and number > Decimal(str(assertion.at_most)):
        return f"is {value}, expected at most {_short(assertion.at_most)}"
    return ""


def _short(limit: float) -> str:
    """A limit as it was most likely written: 2000 and not 2000.0."""
    return str(int(limit)) if limit.is_integer() else str(limit)


def _result(assertion: SqlAssertion, wrong: str) -> CheckResult:
    return CheckResult(
        name="assertion", target=assertion.name, verdict=Verdict.FAIL if wrong else Verdict.OK, message=wrong
    )
