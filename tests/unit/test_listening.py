"""What listens on this host, by real sockets."""

import ctypes
import os
import socket
from pathlib import Path

import psutil
import pytest

from tasks.base.doors import ListeningPolicy
from tasks.base.findings import ScanState, Severity
from tasks.base.words import Verdict
from tasks.network.listening import Listening, check_listening, listening_sockets, may_listen

_PR_SET_DUMPABLE = 4  # prctl(2)
# Everything that listens on the machine of the test may do so.
ALL = [{"protocol": protocol, "port": "*"} for protocol in ("tcp", "udp")]


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def policy(*allowed, **more):
    return ListeningPolicy.model_validate({"allowed": allowed, **more})


def found(scan, port):
    return [one for one in scan.findings if one.location == f"tcp 127.0.0.1:{port}"]


def test_a_socket_that_is_not_allowed_is_a_finding_with_its_process(listener):
    scan = check_listening(policy(loopback=False))
    (finding,) = found(scan, listener)
    assert (finding.severity, finding.package) == (Severity.LOW, psutil.Process().name())
    (line,) = [line for line in scan.checks if line.target == finding.location]
    assert (line.verdict, line.next_command) == (Verdict.WARN, f"sudo ss -tulpn 'sport = :{listener}'")
    below = {"port": f"{listener - 1}-{listener}", "address": "127.0.0.0/8", "process": psutil.Process().name()}
    assert not found(check_listening(policy(below, loopback=False)), listener)
    assert found(check_listening(policy({**below, "process": "nobody*"}, loopback=False)), listener)
    assert found(check_listening(policy({**below, "protocol": "udp"}, loopback=False)), listener)


def test_what_only_this_host_reaches_needs_no_entry_unless_the_policy_says_so(listener):
    assert not found(check_listening(policy()), listener)
    assert Listening(protocol="tcp", address="::ffff:127.0.0.1", port=1).is_loopback


def test_all_allowed_is_said_with_what_is_open(listener):
    scan = check_listening(policy(*ALL))
    assert scan.state is ScanState.CLEAN
    (line,) = scan.checks
    assert line.verdict is Verdict.OK
    assert "all allowed" in line.message
    (table,) = scan.attachments
    assert (listener, "yes") in {(row["port"], row["allowed"]) for row in table.rows}


def test_a_bound_udp_socket_of_a_server_counts_and_that_of_a_client_does_not():
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        for port in range(first - 1, first - 50, -1):
            try:
                server.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
        ports = {(one.protocol, one.port) for one in listening_sockets()}
        assert ("udp", server.getsockname()[1]) in ports
        assert ("udp", client.getsockname()[1]) not in ports


def test_a_process_that_this_user_may_not_see_is_not_judged():
    hidden = Listening(protocol="tcp", address="0.0.0.0", port=443)
    assert may_listen(hidden, policy({"port": 443, "process": "nginx"})) is None
    assert may_listen(hidden, policy({"port": 443})) is True
    assert may_listen(hidden, policy({"port": 80, "process": "nginx"})) is False


@pytest.fixture
def guarded():
    """The kernel shows what this process has open to root alone, as it does with another user's process."""
    kernel = ctypes.CDLL(None, use_errno=True)
    assert kernel.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    yield
    assert kernel.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


@pytest.mark.usefixtures("guarded")
def test_another_users_sockets_are_skipped_and_close_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                listening.close()  # else it would be its own as well
                if os.geteuid() == 0:
                    os.setuid(65534)
                scan = check_listening(policy({"port": port, "process": "python*"}, loopback=False))
                told = [line.message for line in scan.checks if line.verdict is Verdict.SKIP]
                os.write(write, f"{scan.state} {told}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    said = os.read(read, 65536).decode()
    assert said.startswith("incomplete")
    assert f"tcp 127.0.0.1:{port}" in said
