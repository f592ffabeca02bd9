"""What a firewall lets in, read from what nft 1.0.6 and iptables-save 1.8.9 printed of real rules."""

import json
from pathlib import Path

import pytest

from tasks.base.doors import FirewallPolicy
from tasks.base.findings import ScanState, Severity
from tasks.base.words import Verdict
from tasks.network import iptables, nftables
from tasks.network.firewall import lets_in
from tasks.network.firewall_checks import check_firewall
from tests.unit.programs import Programs

RULES = Path(__file__).parent / "firewalls"
CLOSED = [
    "tcp 22 from 10.0.0.0/8",
    "tcp 22 from 192.0.2.7",
    "tcp 8000-8100 from 10.1.0.0/16",
    "udp 53 from anywhere by docker0",
    "tcp 80 from anywhere",
    "tcp 443 from anywhere",
]
ALLOWED = [
    {"port": 22, "source": "10.0.0.0/8"},
    {"port": 22, "source": "192.0.2.0/24"},
    {"port": "8000-9000", "source": "10.0.0.0/8"},
    {"protocol": "udp", "port": 53, "interface": "docker*"},
    {"port": 80},
    {"port": 443},
]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.network.firewall_checks._MORE_FOLDERS", "")  # not those of this machine
    return Programs(tmp_path / "bin", monkeypatch, alone=True)


def saved(name):
    return (RULES / name).read_text()


def look(*allowed, **more):
    return check_firewall(FirewallPolicy.model_validate({"allowed": allowed, **more}))


def locations(scan):
    return [finding.location for finding in scan.findings]


def test_rules_are_followed_as_a_packet_is():
    chains = nftables.read(saved("closed.json"))
    # Sets, maps of verdicts, jumps; neither loopback, replies and ICMP nor what stands behind the last drop.
    assert [one.text for one in lets_in(chains, "ip")] == CLOSED
    assert lets_in(nftables.read(saved("open.json")), "ip") is None, "its policy accepts"
    assert lets_in([], "ip") is None, "no firewall"


def test_what_iptables_saved_says_the_same():
    chains = iptables.read(saved("iptables.save"), "ip")
    assert [one.text for one in lets_in(chains, "ip")] == [
        "tcp 22 from 10.0.0.0/8",
        "tcp 80 from anywhere",
        "tcp 443 from anywhere",
        "tcp 8000-8010 from anywhere",
        "udp 123 from anywhere",
    ]


@pytest.mark.parametrize(
    ("rule", "opened"),
    [
        ("-s 10.0.0.0/8,192.0.2.1 -p tcp --dport 22 -j ACCEPT", ["tcp 22 from 10.0.0.0/8", "tcp 22 from 192.0.2.1"]),
        ("-m iprange --src-range 10.0.0.0-10.0.0.3 -p udp --dport 53 -j ACCEPT", ["udp 53 from 10.0.0.0/30"]),
        ("! -i eth0 -p tcp --dport 25 -j ACCEPT", ["tcp 25 from anywhere (not -i eth0)"]),
        ("-m state --state NEW -p tcp --dport 25 -j ACCEPT", ["tcp 25 from anywhere"]),
        ("-i br+ -j ACCEPT", ["everything from anywhere by br*"]),
        ("-p tcp --dport 25 -j DROP", []),
        ("-p tcp --dport 25 -j LOG", []),
        ("-s 127.0.0.0/8 -j ACCEPT", []),
        ("-p vrrp -j ACCEPT", []),
    ],
)
def test_each_rule_opens_what_it_says(rule, opened):
    chains = iptables.read(f"*filter\n:INPUT DROP [0:0]\n-A INPUT {rule}\nCOMMIT\n", "ip")
    assert [one.text for one in lets_in(chains, "ip")] == opened


def test_a_closed_end_counts_as_a_policy_and_an_open_start_does_not():
    def chain(policy, *rules):
        lines = "\n".join(f"-A INPUT {rule}" for rule in rules)
        return iptables.read(f"*filter\n:INPUT {policy} [0:0]\n:sub - [0:0]\n{lines}\n-A sub -j DROP\nCOMMIT\n", "ip")

    assert [one.text for one in lets_in(chain("ACCEPT", "-p tcp --dport 22 -j ACCEPT", "-j REJECT"), "ip")] == [
        "tcp 22 from anywhere"
    ]
    assert lets_in(chain("ACCEPT", "-j sub"), "ip") == []
    assert lets_in(chain("ACCEPT", "-p tcp -j sub"), "ip") is None, "UDP falls through"
    assert [one.text for one in lets_in(chain("DROP", "-j ACCEPT"), "ip")] == ["everything from anywhere"]


def test_a_set_without_elements_is_a_rule_that_holds_for_nobody():
    """As a ban list is until somebody is banned, and a list of friends before the first one came."""
    objects = json.loads(saved("closed.json"))["nftables"]
    (chain,) = [one["chain"] for one in objects if one.get("chain", {}).get("hook") == "input"]
    where = {key: chain[key] for key in ("family", "table")}
    asked = {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}}
    names = {"banned": {"drop": None}, "friends": {"accept": None}}
    sets = [{"set": {**where, "name": name, "type": "ipv4_addr"}} for name in names]
    rules = [
        {"rule": {**where, "chain": chain["name"], "expr": [{"match": {**asked, "right": f"@{name}"}}, verdict]}}
        for name, verdict in names.items()
    ]
    opened = lets_in(nftables.read(json.dumps({"nftables": [*objects[:1], *sets, *rules, *objects[1:]]})), "ip")
    assert [one.text for one in opened] == CLOSED, "what comes behind the empty ban list is seen"


def test_what_is_let_in_and_not_allowed_is_a_finding(programs):
    programs.say("nft", saved("closed.json"))
    scan = look(*ALLOWED)
    (line,) = scan.checks
    assert (scan.state, line.verdict) == (ScanState.CLEAN, Verdict.OK), scan.findings
    assert line.message.endswith(f"let in, and allowed: {'; '.join(CLOSED)}")
    scan = look(*ALLOWED[1:5])
    assert {finding.location: finding.severity for finding in scan.findings} == {
        CLOSED[0]: Severity.MEDIUM,
        CLOSED[5]: Severity.HIGH,
    }
    (table,) = scan.attachments
    assert [row["allowed"] for row in table.rows] == ["no", "yes", "yes", "yes", "yes", "no"]
    assert (table.rows[2]["first_port"], table.rows[2]["last_port"]) == (8000, 8100)
    assert {line.target: line.verdict for line in scan.checks} == {CLOSED[0]: Verdict.WARN, CLOSED[5]: Verdict.FAIL}


def test_a_family_without_rules_is_open(programs):
    programs.say("nft", saved("open.json"))
    assert locations(look()) == ["IPv4 input", "IPv6 input"]
    assert locations(look(families=["ip"])) == ["IPv4 input"]


def test_tables_that_iptables_made_are_read_by_its_own_program(programs):
    programs.say("nft", saved("iptables.json"))
    programs.say("iptables-save", saved("iptables.save"))
    entries = [
        {"port": 22, "source": "10.0.0.0/8"}, {"port": 80}, {"port": 443}, {"port": "8000-8010"},
        {"protocol": "udp", "port": 123},
    ]  # fmt: skip
    scan = look(*entries, families=["ip"])
    assert scan.state is ScanState.CLEAN, scan.findings
    # Beside a table of nft's own, what both let in counts.
    both = [one for name in ("closed.json", "iptables.json") for one in json.loads(saved(name))["nftables"]]
    programs.say("nft", json.dumps({"nftables": both}))
    assert locations(look(*ALLOWED, families=["ip"])) == ["tcp 8000-8010 from anywhere", "udp 123 from anywhere"]
    # Without the program of IPv6 nobody knows of it, and nobody says that it is open.
    assert_unknown(look({"protocol": "*"}), "ip6tables-save is not on this host")


def test_who_may_not_read_the_rules_does_not_call_them_good(programs):
    assert_unknown(look(), "iptables-save is not on this host")
    programs.say("nft", "", stderr="Operation not permitted (you must be root)\n", code=1)
    line = assert_unknown(look(), "you must be root")
    assert line.next_command == "sudo nft list ruleset"
    programs.say("nft", "no JSON")
    assert_unknown(look(), "gives no rules")
    programs.say("nft", '{"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": ["?"]}}]}')
    assert_unknown(look(), "cannot be read")


def assert_unknown(scan, sentence):
    (line,) = scan.checks
    assert sentence in line.message
    assert (line.verdict, scan.state, scan.findings) == (Verdict.SKIP, ScanState.INCOMPLETE, ())
    return line
