"""Asking one question of `nightshift check`: what it answers, or the error that is its answer, as results."""

from collections.abc import Callable

from tasks.base.errors import NightshiftError
from tasks.base.words import CheckResult, Verdict

Answer = str | CheckResult | list[CheckResult]
Question = Callable[[], Answer]


def ask(target: str, name: str, question: Question) -> list[CheckResult]:
    """What the question answers, a text as OK; a NightshiftError is its answer too, as FAIL."""
    try:
        answer = question()
    except NightshiftError as error:
        return [fail(target, name, str(error))]
    if isinstance(answer, str):
        return [ok(target, name, answer)]
    return [answer] if isinstance(answer, CheckResult) else answer


def ok(target: str, name: str, message: str) -> CheckResult:
    """Seen, and good."""
    return result(target, name, Verdict.OK, message)


def fail(target: str, name: str, message: str) -> CheckResult:
    """Missing or wrong; the message holds the remedy."""
    return result(target, name, Verdict.FAIL, message)


def result(target: str, name: str, verdict: Verdict, message: str, next_command: str = "") -> CheckResult:
    """One line of the answer."""
    return CheckResult(name=name, target=target, verdict=verdict, message=message, next_command=next_command)
