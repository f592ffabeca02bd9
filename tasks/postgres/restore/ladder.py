"""The ladder of a restore test: rung after rung, each timed; the first that fails ends the climb."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import NightshiftError, StoppedError, ToolFailedError, UnreachableError
from tasks.base.secrets import mask
from tasks.base.words import CheckResult, Verdict
from tasks.repository.records import Proven

log = logging.getLogger("nightshift.restore")
Progress = Callable[[float, str], None]
Remedies = Sequence[tuple[str, str]]
NOT_COMPARED = "the backup was made without a fingerprint; set backup.fingerprint.mode"
_LEVELS = {
    Verdict.OK: logging.INFO,
    Verdict.INFO: logging.INFO,
    Verdict.SKIP: logging.WARNING,
    Verdict.WARN: logging.WARNING,
}
_REMEDIES: Remedies = (
    (
        r"unsupported version|unrecognized configuration parameter",
        "a newer pg_dump wrote it: install that PostgreSQL, or name its folder in restore_test.binaries",
    ),
    (
        r"extension .* is not available|could not access file|must be loaded via",
        "install the extension for the sandbox's PostgreSQL, or name one that has it in restore_test.binaries",
    ),
    (
        r"ICU is not supported",
        "the sandbox's PostgreSQL was built without ICU: install Debian's, or set restore_test.binaries",
    ),
    (
        r"possibly corrupt archive|unexpected end of file|could not read from input file: end of file",
        "it was cut or damaged, test an older one",
    ),
    (
        r"could not find header for file .toc\.dat. in tar",
        "it is a tar of other files, not one of pg_dump -Ft: unpack it, and name the folder",
    ),
    (r'encoding "UTF8": 0xff', "it may be UTF-16, as PowerShell's > writes it: let pg_dump write the file, with -f"),
    (r"No space left on device", "free disk, or set restore_test.folder"),
)


class Rung:
    """What a rung found while it was climbed: a message, further results, or a reason why it could not be."""

    def __init__(self, on_share: Callable[[float], None]) -> None:
        self.message = ""
        self.findings: list[CheckResult] = []
        self.skipped = ""
        self.best = Verdict.OK
        self.done = on_share

    def inform(self, message: str) -> None:
        """This rung holds, but proves less than it might; the verdict becomes INFO."""
        self.message, self.best = message, Verdict.INFO

    def skip(self, reason: str) -> None:
        """This rung cannot run here; the verdict becomes 'partially proven'."""
        self.skipped = reason


class Broken(Exception):
    """A rung failed; it is already recorded, the rungs above cannot be climbed."""


class Ladder:
    """The rungs climbed so far of one backup, within a limit of time.

    `on_progress(percent, rung)` is called on the way. `work` is what is climbed for, in words; `remedies` are patterns
    of what programs say, each with what to do about it.
    """

    def __init__(
        self,
        target: str,
        on_progress: Progress,
        limit_seconds: float,
        work: str = "test",
        remedies: Remedies = _REMEDIES,
    ) -> None:
        self.target, self.on_progress, self.limit_seconds = target, on_progress, limit_seconds
        self._work, self._remedies = work, remedies
        self.elapsed = stopwatch()
        self.percent = 0.0
        self.rungs: list[CheckResult] = []

    @contextmanager
    def rung(self, name: str, until: float | None = None) -> Iterator[Rung]:
        """Climb one rung; `until` is the percent of the whole work that is done after it.

        A NightshiftError, an error of the sandbox's server or a red finding inside is recorded as FAIL and raised as
        Broken, and so is the end of the time. A stop, and a store that cannot be reached, say nothing of the backup:
        they are raised as they are, and no rung is recorded.
        """
        start, end = self.percent, self.percent if until is None else until
        elapsed = stopwatch()

        def show(share: float) -> None:
            if self.is_late:
                raise ToolFailedError(self._too_late())
            self.on_progress(start + (end - start) * min(1.0, share), name)

        rung = Rung(show)
        try:
            show(0.0)
            yield rung
        except (NightshiftError, psycopg.Error) as error:
            stopping.raise_if_stopped()
            if isinstance(error, StoppedError | UnreachableError) and not self.is_late:
                raise
            said = with_remedy(" ".join(str(error).split()), self._remedies)
            self.record(name, Verdict.FAIL, self._too_late() if self.is_late else said, elapsed())
            raise Broken from None
        worst = Verdict.worst([Verdict.OK, *(finding.verdict for finding in rung.findings)])
        if worst.is_red:
            stopping.raise_if_stopped()
        if rung.skipped and not worst.is_red:
            self.record(name, Verdict.SKIP, rung.skipped, elapsed())
        elif worst is Verdict.OK:
            self.record(name, rung.best, rung.message, elapsed())
        else:
            late = worst.is_red and self.is_late
            self.record(name, worst, self._too_late() if late else _first(rung.findings, worst), elapsed())
        self.rungs += [finding for finding in rung.findings if finding.verdict is not Verdict.OK]
        self.percent = end
        if worst.is_red:
            raise Broken

    def record(self, name: str, verdict: Verdict, message: str, seconds: float) -> None:
        """Add a rung, or what was found outside of one such as a measured time; the run's log shows it at once."""
        found = CheckResult(
            name=name, target=self.target, verdict=verdict, message=mask(message), duration_seconds=round(seconds, 3)
        )
        self.rungs.append(found)
        said = f"{found.message and ': '}{found.message}"
        log.log(level_of(verdict), "%s: %s %s after %.1f s%s", self.target, name, verdict, seconds, said)

    def note(self, check: CheckResult) -> None:
        """Add what was found before the climb; the run's log shows it at once."""
        noted = check.model_copy(update={"message": mask(check.message)})
        self.rungs.append(noted)
        log.log(level_of(noted.verdict), "%s: %s %s: %s", noted.target, noted.name, noted.verdict, noted.message)

    @property
    def is_late(self) -> bool:
        """True when the time of the whole test is over."""
        return self.elapsed() > self.limit_seconds

    def _too_late(self) -> str:
        return (
            f"the {self._work} was ended after {self.limit_seconds:g} s; raise restore_test.deadline_seconds, "
            "or look at what takes so long in the rungs before"
        )

    def hold_rto(self, limit_seconds: float | None, seconds: float | None = None) -> float:
        """Record the RTO, the seconds from the start until now, WARN above the limit; return it rounded.

        The start is that of the climb, unless the `seconds` since an earlier one are given.
        """
        seconds = self.elapsed() if seconds is None else seconds
        late = limit_seconds is not None and seconds > limit_seconds
        message = f"{how_far(self.rungs)} in {seconds:.1f} s"
        if late:
            message += f", more than the {limit_seconds:g} s of restore_test.rto_seconds"
        self.record("RTO", Verdict.WARN if late else Verdict.OK, message, seconds)
        return round(seconds, 3)

    @property
    def verdict(self) -> Verdict:
        """The worst of all rungs."""
        return Verdict.worst([rung.verdict for rung in self.rungs])

    @property
    def proven(self) -> Proven:
        """'proven', 'partially proven' (a rung was skipped) or 'not proven' (a rung failed, or none was climbed)."""
        if not self.rungs or self.verdict.is_red:
            return "not proven"
        return "partially proven" if any(rung.verdict is Verdict.SKIP for rung in self.rungs) else "proven"


def how_far(rungs: Sequence[CheckResult]) -> str:
    """What was done with a copy that is there, in words."""
    return "restored, not compared," if any(rung.message == NOT_COMPARED for rung in rungs) else "restored and compared"


def level_of(verdict: Verdict) -> int:
    """How loud the run's log is about it."""
    return _LEVELS.get(verdict, logging.ERROR)


def with_remedy(message: str, known: Remedies = _REMEDIES) -> str:
    """What a program said, and what to do about it where that is known."""
    remedies = [remedy for pattern, remedy in known if re.search(pattern, message)]
    return f"{message}; {remedies[0]}" if remedies else message


def _first(findings: Sequence[CheckResult], worst: Verdict) -> str:
    """The first of the worst findings in words, and how many more there are."""
    found = [finding for finding in findings if finding.verdict is worst]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0].target}: {found[0].message}{more}"
