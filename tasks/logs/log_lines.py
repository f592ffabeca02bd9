"""What a review of one log says: a line for each thing that was looked at, for the person who reads the run."""

import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

from tasks.base.clock import iso
from tasks.base.findings import Finding
from tasks.base.log_review import LogKind, LogReviewPolicy, LogSource
from tasks.base.words import CheckResult, Verdict
from tasks.logs.commands import listing, newest_lines, search
from tasks.logs.files import Reading
from tasks.logs.history import Before
from tasks.logs.log_tables import MessageKind
from tasks.logs.tally import INVALID_USER, Tally

# Logs whose errors are looked for.
WITH_ERRORS = (LogKind.APPLICATION, LogKind.POSTGRES)
# Of a log that nearly always has lines, silence is a fault.
_BUSY, _SILENT_SECONDS = 0.9, 2 * 3600.0


class Lines:
    """Lines of one log; each is one CheckResult."""

    def __init__(
        self, source: LogSource, policy: LogReviewPolicy, reading: Reading, tally: Tally, before: Before
    ) -> None:
        self._source, self._policy, self._reading, self._tally, self._before = source, policy, reading, tally, before
        self._since = iso(datetime.fromtimestamp(tally.since, UTC))

    def missing(self) -> list[CheckResult]:
        """Why this reading is no whole one; empty for a whole one. Silence proves nothing: it is never OK."""
        tally, reading = self._tally, self._reading
        source, where = self._source, listing(self._source)
        found = [self._say("log", Verdict.INCOMPLETE, one, where) for one in reading.missing]
        if not reading.files and not found:
            said = f"not known: no file of {', '.join(source.files)} was written since {self._since}"
            if source.pods:
                said = f"not known: none of the {source.pods.place} has a log"
            return [self._say("log", self._of_silence(), said, where)]
        bad, seen = self._unreadable(), tally.reviewed + tally.outside
        if bad and bad > self._policy.incomplete_share * (bad + seen):
            said = f"{bad} of {bad + seen} lines say nothing: {self._reasons()}; is it of kind '{self._source.kind}'?"
            found.append(self._say("log", Verdict.INCOMPLETE, said, newest_lines(source)))
        elif not tally.reviewed and not found:
            newest = f", the newest is of {iso(datetime.fromtimestamp(tally.newest, UTC))}" if tally.newest else ""
            said = f"not known: the files hold no line of the time since {self._since}{newest}"
            found.append(self._say("log", self._of_silence(), said, where))
        return found

    def _of_silence(self) -> Verdict:
        usual = self._before.hours >= self._policy.history_hours and self._before.busy_share >= _BUSY
        long = self._tally.until - self._tally.since >= _SILENT_SECONDS
        return Verdict.INCOMPLETE if usual and long else Verdict.SKIP

    def all(self, findings: Sequence[Finding], messages: Sequence[MessageKind]) -> list[CheckResult]:
        """What was read, and all that was found."""
        parts = [self._read(), *self.lost(), self._bad_lines(), self._failed_logins(), self._suspicious()]
        if self._source.kind is LogKind.ACCESS:
            parts += [self._requests(), self._attacks(findings)]
        elif self._source.kind in WITH_ERRORS:
            parts.append(self.errors(messages))
        watched = [self._watched(name) for name in self._source.watch]
        return [one for one in (*parts, *watched, *self._bursts()) if one is not None]

    def _read(self) -> CheckResult:
        said = f"{self._tally.reviewed} lines since {self._since}, in {len(self._reading.files)} files"
        return self._say("log", Verdict.OK, said)

    def lost(self) -> list[CheckResult]:
        """What nobody can read any more is told once, and may hold whatever it likes."""
        where = listing(self._source)
        return [self._say("lost lines", Verdict.WARN, one, where) for one in self._reading.lost]

    def _unreadable(self) -> int:
        return self._tally.malformed + sum(self._reading.unreadable.values())

    def _reasons(self) -> str:
        reasons = Counter({"of no known format or time": self._tally.malformed}) + self._reading.unreadable
        return ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())

    def _bad_lines(self) -> CheckResult | None:
        bad = self._unreadable()
        strange = (
            f"{self._reading.not_utf8} lines are not UTF-8, and were read all the same"
            if self._reading.not_utf8
            else ""
        )
        if not bad:
            return self._say("unreadable lines", Verdict.INFO, strange) if strange else None
        share = bad / (bad + self._tally.reviewed + self._tally.outside)
        verdict = Verdict.WARN if share > self._policy.unreadable_share else Verdict.INFO
        said = f"{bad} lines say nothing to the review: {self._reasons()}{'; ' if strange else ''}{strange}"
        return self._say(
            "unreadable lines", verdict, said, value=share, threshold=self._policy.unreadable_share, unit="share"
        )

    def _failed_logins(self) -> CheckResult:
        failed, policy = self._tally.failed.counts, self._policy
        total = self._tally.total("failed logins")
        if not total:
            return self._say(
                "failed logins",
                self._of_none(),
                f"no failed login in {self._tally.reviewed} lines",
                value=0,
                unit="count",
            )
        users, sources = Counter[str](), Counter[str]()
        for (user, source), number in failed.items():
            users[user] += number
            sources[source] += number
        worst = _most(sources, "")
        named = _most(users, "", INVALID_USER)
        said = f"{total} failed logins of {len(users)} users from {len(sources)} sources"
        parts = [f"{number} from {source}" for source, number in worst] + [
            f"{number} of {user}" for user, number in named
        ]
        many = any(number >= policy.source_failures for _, number in worst)
        many = many or any(number >= policy.user_failures for _, number in named)
        command = next(
            (f"ufw deny from {one}" for one, number in worst if number >= policy.source_failures and _is_address(one)),
            "",
        )
        return self._say(
            "failed logins", Verdict.WARN if many else Verdict.INFO, "; ".join([said, *parts]), command,
            value=total, threshold=policy.source_failures, unit="count",
        )  # fmt: skip

    def _of_none(self) -> Verdict:
        """Nobody knows the wording of every application."""
        return Verdict.INFO if self._source.kind is LogKind.APPLICATION else Verdict.OK

    def _suspicious(self) -> CheckResult | None:
        fresh = self._tally.suspicious
        if not fresh:
            return None
        (user, source), (failures, _) = next(iter(fresh.items()))
        said = f"{len(fresh)} logins came after many failed ones, first {user} from {source} after {failures}"
        said += f"; ask {user} whether it was them"
        command = f"last -F {shlex.quote(user)}" if self._source.kind is LogKind.SSHD else ""
        return self._say("login after failures", Verdict.WARN, said, command, value=len(fresh), unit="count")

    def _requests(self) -> CheckResult:
        total, client, server = (self._tally.total(name) for name in ("requests", "4xx", "5xx"))
        share = server / total if total else 0.0
        many = total >= self._policy.minimum_requests and share > self._policy.server_errors_share
        worst = Counter({key: number for key, number in self._tally.paths.counts.items() if key[1] >= 500}).most_common(
            1
        )
        first = f"; most of the 5xx: {worst[0][1]} of {worst[0][0][1]} for {worst[0][0][0]}" if worst else ""
        said = f"{total} requests, {client} of 4xx, {server} of 5xx ({share:.2%}){first}"
        return self._say(
            "requests", Verdict.WARN if many else Verdict.OK, said,
            value=share, threshold=self._policy.server_errors_share, unit="share",
        )  # fmt: skip

    def _attacks(self, findings: Sequence[Finding]) -> CheckResult:
        total, limit = self._tally.total("attacks"), self._policy.attack_requests
        if not total:
            return self._say(
                "known attacks", Verdict.OK, f"none in {self._tally.reviewed} requests", value=0, unit="count"
            )
        served = [one for one in self._tally.attacked.items() if one[1].served]
        names = Counter[str]()
        for one in self._tally.attacked.values():
            names[one.attack.name] += one.requests
        said = f"{total} requests for {len(self._tally.attacked)} paths of known attacks"
        said += "".join(f"; {number} {name}" for name, number in names.most_common(3))
        said += "".join(f"; {number} from {source}" for source, number in self._tally.attackers.counts.most_common(2))
        open_ = [one for one in findings if one.rule == "served-attack"]
        if served:
            said += f"; {len(served)} paths were answered with success, first {served[0][0]}"
        verdict = Verdict.WARN if served or open_ or total >= limit else Verdict.INFO
        # The path is an attacker's own text: it must not run in the shell of who types this.
        command = f"curl -sI {shlex.quote(f'https://HOST{served[0][0]}')}" if served else ""
        return self._say("known attacks", verdict, said, command, value=total, threshold=limit, unit="count")

    def errors(self, messages: Sequence[MessageKind]) -> CheckResult:
        """The errors by their kind: those that rise or are new are patterns that somebody should look at."""
        total = self._tally.total("errors")
        if not total:
            said = f"no error in {self._tally.reviewed} lines"
            return self._say("errors", self._of_none(), said, value=0, unit="count")
        fresh, rising = ([one for one in messages if one.state == state] for state in ("new", "rising"))
        said = f"{total} errors of {len(messages)} kinds, {len(fresh)} of them new, {len(rising)} rising"
        first = next(iter([*rising, *fresh, *messages]), None)
        said += f"; {first.count} times: {first.message[:160]}" if first else ""
        many = rising or any(one.count >= self._policy.burst_minimum for one in fresh)
        return self._say("errors", Verdict.WARN if many else Verdict.INFO, said, value=total, unit="count")

    def _watched(self, name: str) -> CheckResult:
        number = self._tally.watched[name]
        said = f"{number} lines of '{name}' in {self._tally.reviewed}"
        command = search(self._source, self._source.watch[name]) if number else ""
        return self._say(
            "watched lines", Verdict.WARN if number else Verdict.OK, said, command, value=number, unit="count"
        )

    def _bursts(self) -> list[CheckResult]:
        before, policy = self._before, self._policy
        if before.hours < policy.history_hours:
            said = f"not known yet: {before.hours} hours of history, {policy.history_hours} are needed"
            return [self._say("bursts", Verdict.SKIP, said)]
        found = [
            self._say(
                "bursts", Verdict.WARN,
                f"{one.number} {one.measure} in the hour from {iso(one.hour)}; usual are {one.usual:g} at most",
                value=one.number, threshold=one.limit, unit="count",
            )
            for one in before.bursts(self._tally, policy)
        ]  # fmt: skip
        said = f"no hour is beyond what the log had in {before.hours} hours before"
        return found or [self._say("bursts", Verdict.OK, said)]

    def _say(
        self, name: str, verdict: Verdict, message: str, next_command: str = "", *,
        value: float | None = None, threshold: float | None = None, unit: str = "",
    ) -> CheckResult:  # fmt: skip
        return CheckResult(
            name=name, target=self._source.name, verdict=verdict, message=message, next_command=next_command,
            value=value, threshold=threshold, unit=unit,
        )  # fmt: skip


def _most(counts: Counter[str], *without: str) -> list[tuple[str, int]]:
    return [pair for pair in counts.most_common(2 + len(without)) if pair[0] not in without][:2]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
