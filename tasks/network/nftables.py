"""The rules of nftables, as `nft -j list ruleset` prints them. Source of the shape: libnftables-json(5)."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tasks.base.errors import ToolFailedError
from tasks.network.firewall import NOTHING, Chain, Conditions, Range, Rule, networks_between, of_states

_VERDICTS = {"accept": "accept", "drop": "drop", "reject": "drop", "jump": "jump", "goto": "goto", "return": "return"}
_EQUALS = ("==", "in")
# Who is asked decides: it may let everything in.
_ASKS_A_PROGRAM = "queue"


Table = tuple[str, str]


def tables_of_iptables(said: str) -> set[Table]:
    """The tables (family, name) whose rules nft prints without what they ask for: iptables made them."""
    rules = [one["rule"] for one in _objects(said) if "rule" in one]
    return {
        (rule["family"], rule["table"])
        for rule in rules
        for expression in rule["expr"]
        if "xt" in expression and expression["xt"].get("name") != "comment"
    }


def read(said: str, without: Collection[Table] = ()) -> list[Chain]:
    """All chains but those of the tables `without`. Raises ToolFailedError for what is no answer of nft."""
    objects = [one for one in _objects(said) if not any(_table(body) in without for body in one.values())]
    try:
        sets = {
            (*_table(body), f"@{body['name']}"): body.get("elem", [])
            for one in objects
            for kind, body in one.items()
            if kind in ("set", "map")
        }
        rules: dict[tuple[str, str, str], list[Rule]] = {}
        for body in (one["rule"] for one in objects if "rule" in one):
            named = {name: elements for (*where, name), elements in sets.items() if tuple(where) == _table(body)}
            rules.setdefault((*_table(body), body["chain"]), []).extend(_rules(body["expr"], named))
        return [_chain(one["chain"], rules) for one in objects if "chain" in one]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailedError(
            f"nft -j list ruleset gives a rule that cannot be read ({error!r}); look by hand"
        ) from None


def _objects(said: str) -> list[dict[str, Any]]:
    try:
        return [dict(one) for one in json.loads(said)["nftables"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ToolFailedError(f"nft -j list ruleset gives no rules ({error!r}); look by hand") from None


def _table(body: Mapping[str, Any]) -> Table:
    return body.get("family", ""), body.get("table", "")


def _chain(body: Mapping[str, Any], rules: Mapping[tuple[str, str, str], list[Rule]]) -> Chain:
    key = body["family"], body["table"], body["name"]
    # Chains of the types nat and route let nothing in.
    hook = body.get("hook", "") if body.get("type") == "filter" else ""
    return Chain(
        family=key[0], table=key[1], name=key[2], hook=hook, policy=body.get("policy", "accept"),
        rules=tuple(rules.get(key, ())),
    )  # fmt: skip


def _rules(expressions: list[dict[str, Any]], sets: Mapping[str, Any]) -> Iterator[Rule]:
    """The rule as one or, where it holds a map of verdicts, as one for each of them; none when it never holds."""
    conditions = NOTHING
    for expression in expressions:
        ((kind, body),) = expression.items()
        if kind == "match" and body["op"] in _EQUALS and not list(_elements(body["right"], sets)):
            return  # as with a ban list on which nobody is
        if kind == "match":
            conditions = conditions.and_then(_condition(body["left"], body["op"], body["right"], sets))
        elif kind == "vmap":
            for value, verdict in _elements(body["data"], sets):
                found = conditions.and_then(_condition(body["key"], "==", value, sets))
                yield _verdict(found, verdict)
        elif kind in _VERDICTS:
            yield _verdict(conditions, expression)
        elif kind == _ASKS_A_PROGRAM:
            yield Rule(conditions=conditions.and_then(Conditions(others=("queue",))), verdict="accept")
        elif kind == "limit":
            conditions = conditions.and_then(Conditions(others=("limit",)))


def _verdict(conditions: Conditions, verdict: dict[str, Any]) -> Rule:
    ((kind, body),) = verdict.items()
    return Rule(
        conditions=conditions,
        verdict=_VERDICTS.get(kind, "pass"),
        target=body["target"] if kind in ("jump", "goto") else "",
    )


def _condition(left: Any, operator: str, right: Any, sets: Mapping[str, Any]) -> Conditions:
    """What a comparison asks for. One that says what must not be narrows nothing that could be relied upon."""
    kind, what = next(iter(left.items())) if isinstance(left, dict) else ("", None)
    known = _asked_for(kind, what, list(_elements(right, sets))) if operator in _EQUALS else None
    return known or Conditions(others=(f"{json.dumps(left)} {operator} {json.dumps(right)}",))


def _asked_for(kind: str, what: Any, values: list[Any]) -> Conditions | None:
    """The conditions that a firewall is judged by; None for all others."""
    asked = (kind, what.get("field") or what.get("key")) if isinstance(what, dict) else (kind, None)
    protocol = what.get("protocol") if isinstance(what, dict) else None
    found = None
    if asked == ("payload", "dport"):
        found = Conditions(protocols=None if protocol == "th" else (protocol,), ports=tuple(map(_range, values)))
    elif asked in (("meta", "l4proto"), ("payload", "protocol"), ("payload", "nexthdr")):
        found = Conditions(protocols=tuple(map(str, values)))
    elif asked == ("payload", "saddr") and protocol in ("ip", "ip6"):
        found = Conditions(sources=tuple(source for value in values for source in _networks(value)))
    elif asked in (("meta", "iifname"), ("meta", "iif")):
        found = Conditions(interfaces=tuple(map(str, values)))
    elif asked == ("ct", "state"):
        found = of_states([str(value) for value in values])
    elif kind == "payload" and protocol in ("icmp", "icmpv6"):
        found = Conditions(protocols=(protocol,))
    return found


def _elements(value: Any, sets: Mapping[str, Any]) -> Iterator[Any]:
    """The single values of a value, a list, a set, or the name of a set."""
    if isinstance(value, str) and value.startswith("@"):
        value = {"set": sets[value]}
    if isinstance(value, dict) and "set" in value:
        value = value["set"]
    for one in value if isinstance(value, list) else [value]:
        yield one["elem"]["val"] if isinstance(one, dict) and "elem" in one else one


def _range(value: Any) -> Range:
    first, last = value["range"] if isinstance(value, dict) else (value, value)
    return int(first), int(last)


def _networks(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict) and "prefix" in value:
        return (f"{value['prefix']['addr']}/{value['prefix']['len']}",)
    if isinstance(value, dict) and "range" in value:
        return networks_between(*value["range"])
    return (str(value),)
