"""What a firewall lets in: its chains as data, followed as a packet is, and held against what may be let in."""

import ipaddress
from collections.abc import Generator, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import Literal

from pydantic import Field

from tasks.base.doors import ANY, HIGHEST_PORT, AllowedTraffic, bounds
from tasks.base.words import Frozen

Range = tuple[int, int]
ALL_PORTS: Range = (0, HIGHEST_PORT)
# Always let in: without them nothing works, and they open no service.
_HARMLESS = {"icmp", "icmpv6", "ipv6-icmp", "igmp", "vrrp"}
_REPLIES = {"established", "related", "untracked"}
_DEEPEST = 16


class Conditions(Frozen):
    """What must be true of a packet; None: anything."""

    protocols: tuple[str, ...] | None = None
    ports: tuple[Range, ...] | None = None
    sources: tuple[str, ...] | None = None
    interfaces: tuple[str, ...] | None = None
    replies_only: bool = Field(default=False, description="Only what belongs to a connection that is there")
    others: tuple[str, ...] = Field(default=(), description="What else is asked for, and judged as if it were not")

    def and_then(self, inner: "Conditions") -> "Conditions":
        """Those of a rule in a chain that was reached by these; where both ask for one thing, the inner one counts."""
        said = {name: value for name, value in inner if value not in (None, False, ())}
        return self.model_copy(update={**said, "others": self.others + inner.others})


NOTHING = Conditions()


class Rule(Frozen):
    """One rule; `pass` goes on with the next one."""

    conditions: Conditions = NOTHING
    verdict: Literal["accept", "drop", "jump", "goto", "return", "pass"]
    target: str = ""

    @property
    def is_unconditional(self) -> bool:
        """True when it holds for every packet."""
        return self.conditions == NOTHING


class Chain(Frozen):
    """A chain of rules; a base chain has a hook and a policy."""

    family: str = Field(description="ip, ip6 or inet, which is both")
    table: str
    name: str
    hook: str = ""
    policy: str = "accept"
    rules: tuple[Rule, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What is unique of it."""
        return self.family, self.table, self.name


class Opening(Frozen):
    """What is let in."""

    protocol: str = ANY
    ports: Range = ALL_PORTS
    source: str = ANY
    interface: str = ANY
    others: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """How people say it, e.g. tcp 8000-8100 from 10.0.0.0/8 by docker0."""
        first, last = self.ports
        ports = "" if self.ports == ALL_PORTS else f" {first}" if first == last else f" {first}-{last}"
        protocol = "everything" if self.protocol == ANY and not ports else self.protocol
        source = "anywhere" if self.source == ANY else self.source
        by = "" if self.interface == ANY else f" by {self.interface}"
        only = f" ({', '.join(self.others)})" if self.others else ""
        return f"{protocol}{ports} from {source}{by}{only}"


def lets_in(chains: Sequence[Chain], family: str) -> list[Opening] | None:
    """What the chains let in of a family; None when they let in everything that no rule forbids.

    Each base chain may drop what another one accepts, so what one of them lets in is the most that comes in.
    """
    known = {chain.key: chain for chain in chains}
    closed: list[Opening] = []
    is_closed = False
    for chain in chains:
        if chain.hook == "input" and chain.family in (family, "inet"):
            accepted, open_end = _followed(chain, known)
            is_closed |= not open_end
            closed += [] if open_end else [one for found in accepted for one in _openings(found)]
    return list({one.text: one for one in closed}.values()) if is_closed else None


def is_allowed(one: Opening, allowed: Sequence[AllowedTraffic]) -> bool:
    """True when an entry covers all of it."""
    return any(_covers(entry, one) for entry in allowed)


def _followed(chain: Chain, known: Mapping[tuple[str, str, str], Chain]) -> tuple[list[Conditions], bool]:
    """What a base chain accepts, and whether what no rule names is accepted too."""
    walk, accepted = _walk(chain, known, NOTHING, 0), []
    while True:
        try:
            accepted.append(next(walk))
        except StopIteration as end:
            # What falls through the end of the chain meets its policy.
            return accepted, chain.policy == "accept" and bool(end.value)


def _walk(
    chain: Chain, known: Mapping[tuple[str, str, str], Chain], given: Conditions, depth: int
) -> Generator[Conditions, None, bool]:
    """What is accepted on the way; returns whether a packet may leave the chain at its end."""
    for rule in chain.rules:
        conditions = given.and_then(rule.conditions)
        if rule.verdict == "accept":
            yield conditions
        elif rule.verdict in ("jump", "goto"):
            inner = known.get((chain.family, chain.table, rule.target))
            if inner is None or depth > _DEEPEST:
                continue
            falls_through = yield from _walk(inner, known, conditions, depth + 1)
            if rule.is_unconditional and (rule.verdict == "goto" or not falls_through):
                return falls_through
        if rule.is_unconditional and rule.verdict in ("accept", "drop"):
            return False
        if rule.is_unconditional and rule.verdict == "return":
            return True
    return True


def _openings(accepted: Conditions) -> Iterator[Opening]:
    """One for each protocol, range of ports and source, without what is always let in."""
    if accepted.replies_only:
        return
    interfaces = [one for one in accepted.interfaces or (ANY,) if one != "lo"]
    sources = [one for one in accepted.sources or (ANY,) if not _is_loopback(one)]
    protocols, ranges = accepted.protocols or (ANY,), accepted.ports or (ALL_PORTS,)
    for protocol, ports, source, interface in product(protocols, ranges, sources, interfaces):
        if protocol not in _HARMLESS:
            yield Opening(
                protocol=protocol,
                ports=ports,
                source=ANY if source in ("0.0.0.0/0", "::/0") else source,
                interface=interface,
                others=accepted.others,
            )


def _covers(entry: AllowedTraffic, one: Opening) -> bool:
    first, last = bounds(entry.port)
    if entry.protocol not in (ANY, one.protocol) or not first <= one.ports[0] <= one.ports[1] <= last:
        return False
    return fnmatchcase(one.interface, entry.interface) and _is_within(one.source, entry.source)


def _is_within(source: str, allowed: str) -> bool:
    if allowed in (ANY, source):
        return True
    try:
        inner, outer = ipaddress.ip_network(source, strict=False), ipaddress.ip_network(allowed)
    except ValueError:
        return False
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _is_loopback(source: str) -> bool:
    try:
        return ipaddress.ip_network(source, strict=False).is_loopback
    except ValueError:
        return False


def of_states(states: Sequence[str]) -> Conditions:
    """Of which connections a packet must be: what begins new ones asks for nothing that narrows what comes in."""
    lower = {state.lower() for state in states}
    if lower <= _REPLIES:
        return Conditions(replies_only=True)
    return NOTHING if "new" in lower else Conditions(others=(f"state {', '.join(sorted(lower))}",))


def networks_between(first: str, last: str = "") -> tuple[str, ...]:
    """The networks that make up a range of addresses, both ends included."""
    ends = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
    return tuple(map(str, ipaddress.summarize_address_range(*ends)))
