"""SQL assertions: a question put to the restored database, with the answer it must give."""

from decimal import Decimal, InvalidOperation

import psycopg
from psycopg import Connection

from tasks.base.system import SqlAssertion
from tasks.base.words import CheckResult, Verdict


def assert_sql(connection: Connection[tuple[object, ...]], assertion: SqlAssertion) -> CheckResult:
    """Run one assertion and say whether it holds. A statement that fails is FAIL with the server's sentence."""
    try:
        # The statement is the operator's own, from the system file; it is run as it stands, without parameters.
        row = connection.execute(assertion.sql.encode()).fetchone()
    except psycopg.Error as error:
        connection.rollback()
        return _result(assertion, str(error).strip().splitlines()[0])
    if row is None or len(row) != 1:
        return _result(assertion, f"returned {'no row' if row is None else f'{len(row)} values'}, one is expected")
    return _result(assertion, _wrong("" if row[0] is None else str(row[0]), assertion))


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
        return f"is {value}, expected at least {assertion.at_least}"
    if assertion.at_most is not None and number > Decimal(str(assertion.at_most)):
        return f"is {value}, expected at most {assertion.at_most}"
    return ""


def _result(assertion: SqlAssertion, wrong: str) -> CheckResult:
    return CheckResult(
        name="assertion", target=assertion.name, verdict=Verdict.FAIL if wrong else Verdict.OK, message=wrong
    )
