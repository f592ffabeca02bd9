"""The ladder of a restore test: rung after rung, each timed; the first that fails ends the climb."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasks.base.clock import stopwatch
from tasks.base.errors import NightshiftError, StoppedError
from tasks.base.words import CheckResult, Verdict


class Rung:
    """What a rung found while it was climbed: a message, further results, or a reason why it could not be."""

    def __init__(self) -> None:
        self.message = ""
        self.findings: list[CheckResult] = []
        self.skipped = ""

    def skip(self, reason: str) -> None:
        """This rung cannot run here; the verdict becomes 'partially proven'."""
        self.skipped = reason


class Broken(Exception):
    """A rung failed; it is already recorded, the rungs above cannot be climbed."""


class Ladder:
    """The rungs climbed so far of one backup."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.rungs: list[CheckResult] = []

    @contextmanager
    def rung(self, name: str) -> Iterator[Rung]:
        """Climb one rung. A NightshiftError or a red finding inside is recorded as FAIL and raised as Broken."""
        rung, elapsed = Rung(), stopwatch()
        try:
            yield rung
        except StoppedError:
            raise
        except NightshiftError as error:
            self._record(name, Verdict.FAIL, str(error), elapsed())
            raise Broken from None
        worst = Verdict.worst([Verdict.OK, *(finding.verdict for finding in rung.findings)])
        if rung.skipped:
            self._record(name, Verdict.SKIP, rung.skipped, elapsed())
        elif worst is Verdict.OK:
            self._record(name, Verdict.OK, rung.message, elapsed())
        else:
            self._record(name, worst, _first(rung.findings, worst), elapsed())
            self.rungs += [finding for finding in rung.findings if finding.verdict is not Verdict.OK]
        if worst.is_red:
            raise Broken

    @property
    def proven(self) -> str:
        """'proven', 'partially proven' (a rung was skipped) or 'not proven' (a rung failed, or none was climbed)."""
        worst = Verdict.worst([rung.verdict for rung in self.rungs])
        if not self.rungs or worst.is_red:
            return "not proven"
        return "partially proven" if any(rung.verdict is Verdict.SKIP for rung in self.rungs) else "proven"

    def _record(self, name: str, verdict: Verdict, message: str, seconds: float) -> None:
        self.rungs.append(
            CheckResult(
                name=name, target=self.target, verdict=verdict, message=message, duration_seconds=round(seconds, 3)
            )
        )


def _first(findings: Sequence[CheckResult], worst: Verdict) -> str:
    """The first of the worst findings in words, and how many more there are."""
    found = [finding for finding in findings if finding.verdict is worst]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0].target}: {found[0].message}{more}"
