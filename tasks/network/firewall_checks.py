"""The check of this host's firewall: what nftables or iptables let in, held against what they may."""

import shutil
import socket
from collections.abc import Sequence
from functools import partial

from tasks.base.attachments import Row, Table
from tasks.base.doors import ANY, FirewallPolicy
from tasks.base.errors import MissingError, NightshiftError
from tasks.base.findings import Finding, Scan, Severity, identity_of
from tasks.base.programs import Program, output_of
from tasks.base.scans import Looked, Scanning, as_check, unknown, verdict_of
from tasks.base.words import CheckResult, Verdict
from tasks.network import iptables, nftables
from tasks.network.firewall import Chain, Opening, is_allowed, lets_in

# Both are only readable by root, and in the folder of root's programs, which others have not on PATH.
_MORE_FOLDERS = "/usr/sbin:/sbin"
_SAVES = {"ip": "iptables-save", "ip6": "ip6tables-save"}
_FAMILIES = {"ip": "IPv4", "ip6": "IPv6"}
_TOLD = 20
_HEADER = ("protocol", "first_port", "last_port", "source", "interface", "conditions", "allowed")


def firewall_checks(policy: FirewallPolicy | None) -> list[Scanning]:
    """One look at the host that runs the flow, when the system file asks for it."""
    return [] if policy is None else [(_scope(), partial(check_firewall, policy))]


def check_firewall(policy: FirewallPolicy) -> Scan:
    """A finding for each thing that is let in and may not be, and for a family that lets in everything."""
    return as_check(_scope(), "nft or iptables", partial(_look, policy))


def read_chains(policy: FirewallPolicy) -> list[Chain]:
    """All chains of nftables; of tables that iptables made there, and where there is no nft, as iptables tells them.

    Raises MissingError without either program, ToolFailedError for a right that is missing or words not understood.
    """
    if _path("nft") is None:
        return _saved(policy)
    said = _ask(policy, "nft", "-j", "list", "ruleset")
    foreign = nftables.tables_of_iptables(said)
    own = nftables.read(said, without=foreign)
    # What an older iptables keeps outside nftables is not seen by nft.
    elsewhere = not any(chain.hook == "input" for chain in own) and _path(_SAVES["ip"]) is not None
    return own + (_saved(policy) if foreign or elsewhere else [])


def _saved(policy: FirewallPolicy) -> list[Chain]:
    """What iptables says of each family; one that nobody can tell of is not called open."""
    return [chain for family in policy.families for chain in iptables.read(_ask(policy, _SAVES[family]), family)]


def _look(policy: FirewallPolicy) -> Looked:
    try:
        chains = read_chains(policy)
    except NightshiftError as error:
        command = "sudo nft list ruleset" if _path("nft") else "sudo iptables -L -n -v"
        return unknown("firewall", socket.gethostname(), error, command, skip=True)
    found = {family: lets_in(chains, family) for family in policy.families}
    openings = list({one.text: one for seen in found.values() for one in seen or ()}.values())
    bad = [one for one in openings if not is_allowed(one, policy.allowed)]
    findings = [_open_family(family) for family, seen in found.items() if seen is None] + [_opening(one) for one in bad]
    lines = [_line(finding) for finding in findings] or [_all_allowed(openings)]
    table = Table(name="firewall", title="Let in by the firewall", header=_HEADER, rows=_rows(openings, bad))
    return Looked(findings=tuple(findings), checks=tuple(lines), attachments=(table,))


def _rows(openings: Sequence[Opening], bad: Sequence[Opening]) -> tuple[Row, ...]:
    return tuple(
        {
            "protocol": one.protocol,
            "first_port": one.ports[0],
            "last_port": one.ports[1],
            "source": one.source,
            "interface": one.interface,
            "conditions": ", ".join(one.others),
            "allowed": "no" if one in bad else "yes",
        }
        for one in openings
    )


def _line(finding: Finding) -> CheckResult:
    if finding.rule == "firewall-open":
        message = "everything is let in that no rule forbids: no chain of the hook input drops by its policy or its end"
    else:
        message = "is let in and may not be; take the rule out, or add it to security_check.firewall.allowed"
    return CheckResult(
        name="firewall",
        target=finding.location,
        verdict=verdict_of([finding]),
        message=message,
        next_command="sudo nft -a list ruleset" if _path("nft") else "sudo iptables -L INPUT -n -v --line-numbers",
    )


def _all_allowed(openings: Sequence[Opening]) -> CheckResult:
    told = "; ".join(one.text for one in openings[:_TOLD]) + (" …" if len(openings) > _TOLD else "")
    message = f"what no rule lets in is dropped; let in, and allowed: {told or 'nothing'}"
    return CheckResult(name="firewall", target=socket.gethostname(), verdict=Verdict.OK, message=message)


def _open_family(family: str) -> Finding:
    return _finding("firewall-open", f"{_FAMILIES[family]} input", "every packet is let in", Severity.HIGH)


def _opening(one: Opening) -> Finding:
    severity = Severity.HIGH if one.source == ANY else Severity.MEDIUM
    return _finding(
        "firewall-rule-not-allowed", one.text, "it is let in, and the system file does not allow it", severity
    )


def _finding(rule: str, location: str, title: str, severity: Severity) -> Finding:
    return Finding(
        identity=identity_of(_scope(), "firewall", rule, location),
        scope=_scope(),
        kind="firewall",
        severity=severity,
        rule=rule,
        title=title,
        location=location,
    )


def _path(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_MORE_FOLDERS)


def _ask(policy: FirewallPolicy, name: str, *arguments: str) -> str:
    path = _path(name)
    sudo = shutil.which("sudo") if policy.sudo else None
    if path is None or (policy.sudo and sudo is None):
        raise MissingError(
            f"{name if path is None else 'sudo'} is not on this host, so nobody can tell what its firewall lets in; "
            f"sudo apt-get install {'nftables iptables' if path is None else 'sudo'}"
        )
    words = (sudo, "-n", path) if sudo else (path,)
    program = Program(
        arguments=(*words, *arguments), environment={"LC_ALL": "C.UTF-8"}, deadline_seconds=policy.deadline_seconds
    )
    return output_of(program)


def _scope() -> str:
    return f"firewall {socket.gethostname()}"
