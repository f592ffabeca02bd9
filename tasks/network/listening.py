"""The sockets that listen on this host, held against those that may."""

import ipaddress
import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil

from tasks.base.attachments import Row, Table
from tasks.base.doors import ANY, AllowedSocket, ListeningPolicy, bounds
from tasks.base.findings import Finding, Scan, Severity, identity_of
from tasks.base.scans import Looked, Scanning, as_check, unknown, verdict_of
from tasks.base.words import CheckResult, Frozen, Verdict

_COMMAND = "sudo ss -tulpn"
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TOLD = 20
_HEADER = ("protocol", "address", "port", "process", "allowed")


class Listening(Frozen):
    """A socket that takes what anybody sends to it."""

    protocol: str
    address: str
    port: int
    process: str | None = None  # None: this user may not see whose it is

    @property
    def place(self) -> str:
        """How people write it, e.g. tcp 0.0.0.0:22."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol} {host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when only this host reaches it."""
        found = ipaddress.ip_address(self.address)
        return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def listening_checks(policy: ListeningPolicy | None) -> list[Scanning]:
    """One look at the host that runs the flow, when the system file asks for it."""
    return [] if policy is None else [(_scope(), partial(check_listening, policy))]


def check_listening(policy: ListeningPolicy) -> Scan:
    """What listens and may not; a socket whose process must be known and is not is SKIP."""
    return as_check(_scope(), "/proc", partial(_look, policy))


def listening_sockets() -> list[Listening]:
    """TCP sockets that listen and UDP sockets that are bound, each once, in order.

    UDP has no listening: a bound one with a port of the ephemeral range is taken for a client's and left out.
    """
    first, last = _ephemeral_ports()
    found: set[tuple[str, str, int, str]] = set()
    for one in psutil.net_connections(kind="inet"):
        tcp, bound = one.type == socket.SOCK_STREAM, cast(Any, one.laddr)
        if one.status != psutil.CONN_LISTEN if tcp else (one.raddr or first <= bound.port <= last):
            continue
        address = bound.ip.partition("%")[0]
        found.add(("tcp" if tcp else "udp", address, bound.port, _name_of(one.pid) or ""))
    return [
        Listening(protocol=protocol, address=address, port=port, process=name or None)
        for protocol, address, port, name in sorted(found)
    ]


def may_listen(one: Listening, policy: ListeningPolicy) -> bool | None:
    """None when that depends on a process that this user may not see."""
    if policy.loopback and one.is_loopback:
        return True
    fitting = [allowed for allowed in policy.allowed if _fits(one, allowed)]
    if any(one.process is not None and fnmatchcase(one.process, allowed.process) for allowed in fitting):
        return True
    if any(allowed.process == ANY for allowed in fitting):
        return True
    return None if fitting and one.process is None else False


def _look(policy: ListeningPolicy) -> Looked:
    scope = _scope()
    try:
        sockets = listening_sockets()
    except (psutil.Error, OSError) as error:
        return unknown(
            "listening socket", socket.gethostname(), f"this user may not see them ({error})", _COMMAND, skip=True
        )
    judged = [(one, may_listen(one, policy)) for one in sockets]
    findings = tuple(_finding(scope, one) for one, good in judged if good is False)
    hidden = [one.place for one, good in judged if good is None]
    missing = ""
    lines = [_line(finding) for finding in findings]
    if hidden:
        missing = (
            f"whose {', '.join(hidden[:_TOLD])} are this user may not see; run the worker as root, or look by hand"
        )
        lines.append(_check(socket.gethostname(), Verdict.SKIP, missing, _COMMAND))
    table = Table(name="listening_sockets", title="Listening sockets", header=_HEADER, rows=tuple(map(_row, judged)))
    checks = tuple(lines) or (_all_allowed(sockets),)
    return Looked(findings=findings, checks=checks, missing=missing, attachments=(table,))


def _line(finding: Finding) -> CheckResult:
    message = f"{finding.package} listens and may not; stop it, or add it to security_check.listening.allowed"
    command = f"sudo ss -tulpn 'sport = :{finding.location.rpartition(':')[2]}'"
    return _check(finding.location, verdict_of([finding]), message, command)


def _row(judged: tuple[Listening, bool | None]) -> Row:
    one, good = judged
    return one.model_dump() | {"allowed": {True: "yes", False: "no", None: "not known"}[good]}


def _all_allowed(sockets: Sequence[Listening]) -> CheckResult:
    outside = [f"{one.place} {one.process or ''}".strip() for one in sockets if not one.is_loopback]
    told = f": {', '.join(outside[:_TOLD])}{' …' if len(outside) > _TOLD else ''}" if outside else ""
    message = f"{len(sockets)} sockets listen, {len(outside)} of them beyond this host, all allowed{told}"
    return _check(socket.gethostname(), Verdict.OK, message)


def _check(target: str, verdict: Verdict, message: str, command: str = "") -> CheckResult:
    return CheckResult(name="listening socket", target=target, verdict=verdict, message=message, next_command=command)


def _fits(one: Listening, allowed: AllowedSocket) -> bool:
    first, last = bounds(allowed.port)
    if one.protocol != allowed.protocol or not first <= one.port <= last:
        return False
    return allowed.address == ANY or ipaddress.ip_address(one.address) in ipaddress.ip_network(allowed.address)


def _finding(scope: str, one: Listening) -> Finding:
    return Finding(
        identity=identity_of(scope, "socket", one.place),
        scope=scope,
        kind="socket",
        severity=Severity.LOW if one.is_loopback else Severity.HIGH,
        rule="socket-not-allowed",
        title="it listens, and the system file does not allow it",
        location=one.place,
        package=one.process or "a process of another user",
    )


def _name_of(pid: int | None) -> str | None:
    try:
        return psutil.Process(pid).name() if pid is not None else None
    except psutil.Error:
        return None


def _ephemeral_ports() -> tuple[int, int]:
    first, last = _EPHEMERAL.read_text().split()
    return int(first), int(last)


def _scope() -> str:
    return f"listening sockets {socket.gethostname()}"
