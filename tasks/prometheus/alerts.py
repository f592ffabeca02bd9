"""The alerts that fire now, as Alertmanager knows them; what is silenced or inhibited is told apart.

Source of the answers' shape: Alertmanager's openapi.yaml, API v2.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from pydantic import BaseModel, Field, ValidationError

from tasks.base.clock import iso
from tasks.base.errors import NightshiftError
from tasks.base.findings import Scan
from tasks.base.prometheus import AlertmanagerPolicy
from tasks.base.scans import Looked, Scanning, as_check, unknown
from tasks.base.words import CheckResult, Verdict
from tasks.prometheus.http import Asked

_KEY = "security_check.alertmanager"
_SCOPE = "alerts firing"
_MOST_LINES = 50
_QUOTED = 200


class Status(BaseModel):
    """Whether people are told of an alert."""

    state: str
    silenced_by: list[str] = Field(default_factory=list, alias="silencedBy")
    inhibited_by: list[str] = Field(default_factory=list, alias="inhibitedBy")


class Alert(BaseModel):
    """One alert as Alertmanager gives it; what is not needed here is passed over."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: datetime = Field(alias="startsAt")
    status: Status

    @property
    def name(self) -> str:
        """The name of its rule."""
        return self.labels.get("alertname", "an alert without a name")

    @property
    def said(self) -> str:
        """Its own sentence."""
        for name in ("summary", "description", "message"):
            if self.annotations.get(name):
                return " ".join(self.annotations[name].split())[:_QUOTED]
        return ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items()) if key != "alertname")[:_QUOTED]


def alert_checks(policy: AlertmanagerPolicy | None) -> list[Scanning]:
    """One question, when the system file names an Alertmanager."""
    return [] if policy is None else [(_SCOPE, partial(check_alerts, policy))]


def check_alerts(policy: AlertmanagerPolicy) -> Scan:
    """A line for each rule that fires, the worst first; the ledger keeps none of them, for Alertmanager does."""
    return as_check(_SCOPE, "Alertmanager", partial(_look, policy))


def firing(policy: AlertmanagerPolicy) -> list[Alert]:
    """All alerts that Alertmanager knows of. Raises NightshiftError for what is no answer of one."""
    asked = Asked(policy, "Alertmanager", _KEY)
    body = asked.answer("GET", "/api/v2/alerts")
    try:
        return [Alert.model_validate(one) for one in list(json.loads(body))]
    except (ValueError, ValidationError, TypeError):
        raise asked.no_answer() from None


def _look(policy: AlertmanagerPolicy) -> Looked:
    try:
        found = firing(policy)
    except NightshiftError as error:
        return unknown("alerts", "Alertmanager", error, f"curl -sS {policy.url}/api/v2/status")
    active = [one for one in found if not (one.status.silenced_by or one.status.inhibited_by)]
    lines = sorted(_lines(policy, active), key=lambda line: list(Verdict).index(line.verdict), reverse=True)
    if len(lines) > _MOST_LINES:
        more = f"{len(lines) - _MOST_LINES} further rules fire; look at {policy.url}"
        lines[_MOST_LINES:] = [_line("Alertmanager", lines[_MOST_LINES].verdict, more)]
    held_back = [
        _held_back(policy, how, names, asked)
        for how, names, asked in (
            ("silenced", [one.name for one in found if one.status.silenced_by], "silence query"),
            ("inhibited by others", [one.name for one in found if one.status.inhibited_by], "alert query --inhibited"),
        )
        if names
    ]
    quiet = (
        [] if lines else [_line("Alertmanager", Verdict.OK, "no alert fires that is neither silenced nor inhibited")]
    )
    return Looked(checks=(*lines, *quiet, *held_back))


def _lines(policy: AlertmanagerPolicy, active: Iterable[Alert]) -> list[CheckResult]:
    """One for each rule and severity."""
    rules: dict[tuple[str, str], list[Alert]] = {}
    for one in active:
        rules.setdefault((one.name, one.labels.get(policy.severity_label, "")), []).append(one)
    return [_of_rule(policy, name, severity, alerts) for (name, severity), alerts in rules.items()]


def _of_rule(policy: AlertmanagerPolicy, name: str, severity: str, alerts: list[Alert]) -> CheckResult:
    first = min(alerts, key=lambda one: one.starts_at)
    count = f"{len(alerts)} times, " if len(alerts) > 1 else ""
    known = {**dict.fromkeys(policy.info, Verdict.INFO), **dict.fromkeys(policy.fail, Verdict.FAIL)}
    message = f"fires {count}since {iso(first.starts_at)} ({severity or 'no severity'}): {first.said}"
    command = f"amtool --alertmanager.url={policy.url} alert query alertname={json.dumps(name)}"
    return _line(name, known.get(severity, Verdict.WARN), message, command)


def _held_back(policy: AlertmanagerPolicy, how: str, names: list[str], asked: str) -> CheckResult:
    message = f"{len(names)} alerts are {how}: {', '.join(sorted(set(names)))[:_QUOTED]}"
    return _line("Alertmanager", Verdict.INFO, message, f"amtool --alertmanager.url={policy.url} {asked}")


def _line(target: str, verdict: Verdict, message: str, command: str = "") -> CheckResult:
    return CheckResult(name="alerts", target=target, verdict=verdict, message=message, next_command=command)
