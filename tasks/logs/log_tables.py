"""The tables of a log review; those of several logs are one file each."""

from collections import Counter
from datetime import UTC, datetime

from tasks.base.attachments import Table
from tasks.base.clock import iso
from tasks.base.log_review import LogReviewPolicy, LogSource
from tasks.base.words import Frozen
from tasks.logs.history import Before
from tasks.logs.tally import HOUR, Tally


class MessageKind(Frozen):
    """Error messages of one shape in the period, against those before."""

    message: str
    count: int
    per_hour: float
    before_per_hour: float | None
    state: str
    first: str
    last: str


def message_kinds(tally: Tally, before: Before, policy: LogReviewPolicy) -> list[MessageKind]:
    """All shapes of error messages, rising ones first, then new ones, then by count.

    `state` is 'new', 'rising', 'known', or 'not known yet' without enough history.
    """
    former, hours = before.messages(), max(1.0, (tally.until - tally.since) / HOUR)
    enough = before.hours >= policy.history_hours
    found = []
    for message, one in tally.messages.items():
        usual = former[message] / before.hours if before.hours else None
        state = "not known yet"
        if enough and usual is not None:
            rising = one.count >= policy.burst_minimum and one.count / hours >= policy.burst_factor * usual
            state = "new" if not usual else "rising" if rising else "known"
        found.append(
            MessageKind(
                message=message, count=one.count, per_hour=round(one.count / hours, 3), state=state,
                before_per_hour=None if usual is None else round(usual, 3), first=_iso(one.first), last=_iso(one.last),
            )
        )  # fmt: skip
    order = ("rising", "new", "known", "not known yet")
    return sorted(found, key=lambda one: (order.index(one.state), -one.count, one.message))


def tables(source: LogSource, tally: Tally, messages: list[MessageKind], policy: LogReviewPolicy) -> list[Table]:
    """Failed logins, wrong answers by path, attacks, error messages: those that have a row."""
    most = policy.shown
    logins = [
        {"log": source.name, "user": user, "source": address, "failures": number}
        for (user, address), number in tally.failed.counts.most_common(most)
    ]
    if tally.failed.others:
        logins.append({"log": source.name, "user": "(others)", "source": "", "failures": tally.failed.others})
    # The server's own faults are not hidden behind what strangers ask for.
    wrong: list[tuple[tuple[str, int], int]] = []
    for least in (500, 400):
        kinds = {key: number for key, number in tally.paths.counts.items() if least <= key[1] < least + 100}
        wrong += Counter(kinds).most_common(most)
    requests = [
        {"log": source.name, "status": status, "path": path, "requests": number} for (path, status), number in wrong
    ]
    if tally.paths.others:
        requests.append({"log": source.name, "status": "", "path": "(others)", "requests": tally.paths.others})
    attacked = sorted(tally.attacked.items(), key=lambda pair: (-pair[1].served, -pair[1].requests, pair[0]))
    attacks = [
        {
            "log": source.name, "path": path, "attack": one.attack.name, "reference": one.attack.source,
            "requests": one.requests, "served": one.served, "last_served": _iso(one.last_served) if one.served else "",
        }
        for path, one in attacked[:most]
    ]  # fmt: skip
    errors = [{"log": source.name, **one.model_dump()} for one in messages[:most]]
    made = [
        Table(name=name, title=title, header=header, rows=tuple(rows))
        for name, title, header, rows in (
            ("failed_logins", "Failed logins", ("log", "user", "source", "failures"), logins),
            ("requests", "Requests that went wrong", ("log", "status", "path", "requests"), requests),
            ("attacks", "Requests of known attacks",
             ("log", "path", "attack", "reference", "requests", "served", "last_served"), attacks),
            ("log_messages", "Errors by kind of message", ("log", *MessageKind.model_fields), errors),
        )
    ]  # fmt: skip
    return [table for table in made if table.rows]


def _iso(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
