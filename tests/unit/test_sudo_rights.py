"""What sudo lets whom do: each grant as sudoers means it, and told by how easily it is had."""

from tasks.host.root import Root
from tasks.host.sudoers import Sudoers
from tests.unit.hosts import host, of

__all__ = ["host"]


def test_a_grant_is_read_as_sudoers_means_it(host):
    host.write("/etc/sudoers.d/backup~", "ada ALL=NOPASSWD: ALL")
    host.write("/etc/sudoers.d/with.dot", "ada ALL=NOPASSWD: ALL")
    host.write(
        "/etc/sudoers.d/10-extra",
        '"%domain users" ALL = CWD=/srv NOPASSWD:SETENV: /bin/ls\\, x, sudoedit /etc/*\n#1001 ALL=ALL',
    )
    root = Root(host.folder)
    grants = {(one.who, one.hosts, one.run_as, one.command, one.without_password) for one in Sudoers(root).grants}
    assert grants == {
        ("root", "ALL", "ALL:ALL", "ALL", False),
        ("%sudo", "ALL", "ALL:ALL", "ALL", False),
        *(
            (who, "ALL", "root", command, free)
            for who in ("ben", "gone")
            for command, free in (
                ("/usr/bin/systemctl restart shop", True), ("/usr/bin/systemctl status *", True),
                ("/usr/bin/less", False), ("!/bin/sh", False),
            )
        ),
        ("eve", "ALL", "postgres", "/usr/bin/psql", False),
        ("eve", "web1", "root", "ALL", True),
        ("%domain users", "ALL", "root", "/bin/ls\\, x", True),
        ("%domain users", "ALL", "root", "sudoedit /etc/*", True),
        ("#1001", "ALL", "root", "ALL", False),
    }  # fmt: skip
    assert root.gaps == []
    host.write("/etc/sudoers.d/20-broken", "ada what is this")
    Sudoers(root)
    assert root.gaps == ["/etc/sudoers.d/20-broken line 1 is not understood; look at it: sudo visudo -c"]


def test_sudo_rights_are_told_by_how_easily_they_are_had(host):
    backup = "ben ALL=(postgres) NOPASSWD: ALL\nada ALL=(postgres, #0) ALL\n"
    host.write("/etc/sudoers.d/free", f"Defaults:ada !authenticate\nALL ALL=(root) /usr/bin/apt update\n{backup}")
    seen = host.look()
    restart, status = "/usr/bin/systemctl restart shop", "/usr/bin/systemctl status *"
    assert of(seen, "sudo") == {
        ("sudo-all", "%sudo"), ("sudo-all-without-password", "eve"), ("sudo-everyone", "ALL: /usr/bin/apt update"),
        ("sudo-all", "ada"), ("sudo-without-password", "ben: ALL"),
        ("sudo-not-authenticated", "Defaults:ada"),
        *(("sudo-without-password", f"{who}: {command}") for who in ("ben", "gone") for command in (restart, status)),
        *(("sudo-wildcard", f"{who}: {status}") for who in ("ben", "gone")),
    }  # fmt: skip
