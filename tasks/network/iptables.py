"""The rules of iptables, as `iptables-save` prints them. Source of the options: iptables(8), iptables-extensions(8)."""

import shlex
from collections.abc import Iterator

from tasks.base.errors import ToolFailedError
from tasks.network.firewall import NOTHING, Chain, Conditions, Range, Rule, networks_between, of_states

_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}
# They say something about a packet, or go with another option, and ask for nothing.
_ASKS_NOTHING = {"-m", "--match", "--comment", "--reject-with", "--log-prefix", "--log-level", "--icmp-type",
                 "--icmpv6-type", "--to-ports", "-c", "--set-counters"}  # fmt: skip


def read(said: str, family: str) -> list[Chain]:
    """The chains of the table `filter`. Raises ToolFailedError for what is no answer of iptables-save."""
    chains: dict[str, Chain] = {}
    rules: dict[str, list[list[str]]] = {}
    table = ""
    for line in said.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and line.startswith(":"):
            name, policy, *_ = line[1:].split()
            hook = {"INPUT": "input", "FORWARD": "forward", "OUTPUT": "output"}.get(name, "")
            chains[name] = Chain(family=family, table=table, name=name, hook=hook, policy=policy.lower())
        elif table == "filter" and line.startswith("-A "):
            _, name, *words = shlex.split(line)
            rules.setdefault(name, []).append(words)
        elif line.strip() and not line.startswith(("#", "COMMIT", ":", "-")):
            raise ToolFailedError(f"iptables-save says '{line[:100]}', which is no rule; look by hand")
    return [
        chain.model_copy(update={"rules": tuple(_rule(words, chains) for words in rules.get(name, ()))})
        for name, chain in chains.items()
    ]


def _rule(words: list[str], chains: dict[str, Chain]) -> Rule:
    conditions, verdict, target = NOTHING, "pass", ""
    for negated, option, values in _options(words):
        if option in ("-j", "--jump", "-g", "--goto"):
            target = values[0]
            jump = "goto" if option in ("-g", "--goto") else "jump"
            verdict = _VERDICTS.get(target) or (jump if target in chains else "pass")
        elif negated:
            conditions = conditions.and_then(Conditions(others=(f"not {option} {' '.join(values)}",)))
        elif option not in _ASKS_NOTHING:
            conditions = conditions.and_then(_condition(option, values))
    return Rule(conditions=conditions, verdict=verdict, target=target)


def _options(words: list[str]) -> Iterator[tuple[bool, str, list[str]]]:
    """Each option with its values, and whether it is negated."""
    negated, option, values = False, "", list[str]()
    for word in [*words, "--"]:
        if word == "!" or (word.startswith("-") and not word[1:].isdigit()):
            if option:
                yield negated, option, values
                negated, option, values = False, "", []
            negated |= word == "!"
            option = "" if word == "!" else word
        else:
            values.append(word)


def _condition(option: str, values: list[str]) -> Conditions:
    value = values[0] if values else ""
    if option in ("-p", "--protocol"):
        found = Conditions(protocols=(value,)) if value != "all" else NOTHING
    elif option in ("-s", "--source"):
        found = Conditions(sources=tuple(value.split(",")))
    elif option == "--src-range":
        found = Conditions(sources=networks_between(*value.split("-")))
    elif option in ("-i", "--in-interface"):
        found = Conditions(interfaces=(value.replace("+", "*"),))
    elif option in ("--dport", "--destination-port", "--dports", "--destination-ports"):
        found = Conditions(ports=tuple(map(_range, value.split(","))))
    elif option in ("--ctstate", "--state"):
        found = of_states(value.split(","))
    else:
        found = Conditions(others=(f"{option} {' '.join(values)}".strip(),))
    return found


def _range(value: str) -> Range:
    first, _, last = value.partition(":")
    return int(first), int(last or first)
