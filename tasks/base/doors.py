"""What may be reached from outside: the parts of a system file about listening sockets and firewall rules."""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tasks.base.words import Frozen

ANY = "*"
HIGHEST_PORT = 65535


def _ports(value: str) -> str:
    first, last = bounds(value)
    if not 0 <= first <= last <= HIGHEST_PORT:
        raise ValueError(f"'{value}' is no range of ports; write 443, 8000-8100 or *")
    return value


def _network(value: str) -> str:
    return value if value == ANY else str(ipaddress.ip_network(value, strict=False))


def bounds(ports: str) -> tuple[int, int]:
    """The first and the last port of a range. Raises ValueError for what is none."""
    if ports == ANY:
        return 0, HIGHEST_PORT
    first, _, last = ports.partition("-")
    return int(first), int(last or first)


Ports = Annotated[
    str, BeforeValidator(str), AfterValidator(_ports), Field(description="One port, a range such as 8000-8100, or *")
]
Network = Annotated[str, AfterValidator(_network)]


class AllowedSocket(Frozen):
    """A socket that may listen."""

    protocol: Literal["tcp", "udp"] = "tcp"
    address: Network = Field(default=ANY, description="Address or network that it may be bound to; *: any")
    port: Ports
    process: str = Field(default=ANY, description="Pattern (wildcards) of the program's name")


class ListeningPolicy(Frozen):
    """What may listen on the host that runs the flow."""

    allowed: tuple[AllowedSocket, ...] = Field(default=(), description="All others are findings")
    loopback: bool = Field(default=True, description="What is bound to loopback only may always listen")


class AllowedTraffic(Frozen):
    """What the firewall may let in."""

    protocol: str = Field(default="tcp", pattern=r"^(\*|[a-z0-9-]+)$", description="tcp, udp, …; *: any")
    port: Ports = ANY
    source: Network = Field(default=ANY, description="From this address or network, or narrower; *: from anywhere")
    interface: str = Field(default=ANY, description="Pattern (wildcards) of the interface it comes in by")


class FirewallPolicy(Frozen):
    """What the firewall of the host that runs the flow may let in; loopback, replies and ICMP always."""

    allowed: tuple[AllowedTraffic, ...] = Field(default=(), description="All else that is let in is a finding")
    families: tuple[Literal["ip", "ip6"], ...] = Field(
        default=("ip", "ip6"), min_length=1, description="IPv4 and IPv6; leave out what the host does not have"
    )
    sudo: bool = Field(default=False, description="Ask through `sudo -n`, when the run is not root's")
    deadline_seconds: float = Field(default=30, gt=0, description="Of each program that is asked, in seconds")
