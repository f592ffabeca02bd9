"""The audit of a host's files: what is wrong is found, what is right is not, and what cannot be read is said."""

import base64
import os
import shutil
import sqlite3
import struct
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tasks.base.access import HostAccess
from tasks.base.clock import utc_now
from tasks.base.findings import ScanState
from tasks.host.access import audit, look
from tasks.host.root import Root
from tasks.host.sudoers import Sudoers

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root2:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
postgres:x:110:110::/var/lib/postgresql:/bin/bash
ada:x:1000:1000:Ada:/home/ada:/bin/bash
ben:x:1001:1001::/home/ben:/bin/bash
eve:x:1002:1002::/home/eve:
old:$1$salt$abcdefghijklmnopqrstuv:1003:1003::/home/old:/bin/bash
gone:x:1004:1004::/home/gone:/bin/bash
sync:x:4:65534::/bin:/bin/sync
"""
STRONG = "$y$j9T$salt$hash"
SHADOW = f"""\
root:*:19000:0:99999:7:::
toor:!:19000::::::
daemon:*:19000::::::
postgres:!:19000::::::
ada:{STRONG}:19000:0:99999:7:::
ben:$1$salt$abcdefghijklmnopqrstuv:19000::::::
eve::19000::::::
gone:{STRONG}:19000:::::19500:
sync:*:19000::::::
"""
GROUP = "root:x:0:\nsudo:x:27:ada\nada:x:1000:\ndocker:x:999:ada,ben\n"
SUDOERS = r"""
Defaults env_reset, mail_badpass
User_Alias OPERATORS = ben, \
    gone
Cmnd_Alias SERVICES = /usr/bin/systemctl restart shop, /usr/bin/systemctl status *
Runas_Alias DB = postgres
root ALL=(ALL:ALL) ALL
%sudo ALL=(ALL:ALL) ALL # the usual one
OPERATORS ALL = (root) NOPASSWD: SERVICES, PASSWD: /usr/bin/less, !/bin/sh
eve ALL=(DB) /usr/bin/psql : web1 = NOPASSWD: ALL
@includedir /etc/sudoers.d
"""


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


class Host:
    """A root folder as a test makes it."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, path, content, mode=0o644):
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        place.chmod(mode)
        return place

    def look(self, **changes):
        return look(HostAccess(name="web", root=str(self.folder), **changes))


@pytest.fixture
def host():
    # Not below pytest's own folder, into which another account may not look.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    made = Host(folder)
    for path, content, mode in (
        ("/etc/passwd", PASSWD, 0o644), ("/etc/shadow", SHADOW, 0o640), ("/etc/group", GROUP, 0o644),
        ("/etc/sudoers", SUDOERS, 0o440), ("/etc/login.defs", "UID_MIN 1000\n", 0o644),
    ):  # fmt: skip
        made.write(path, content, mode)
    yield made
    shutil.rmtree(folder)


def rules(seen):
    return {(one.rule, one.location.split(" (")[0]) for one in seen.findings}


def of(seen, *names):
    return {(rule, thing) for rule, thing in rules(seen) if rule.startswith(names)}


def test_accounts_that_are_wrong_are_found_and_the_others_are_not(host):
    seen = host.look()
    assert of(seen, "powerful") == {("powerful-group", "ada in docker"), ("powerful-group", "ben in docker")}
    assert of(seen, "uid", "empty", "old-p", "password", "system", "expired") == {
        ("uid-zero", "toor"), ("uid-twice", "toor"), ("uid-twice", "root"), ("empty-password", "eve"),
        ("old-password-hash", "ben"), ("old-password-hash", "old"), ("password-in-passwd", "old"),
        ("system-account-shell", "postgres"), ("expired-account", "gone"),
    }  # fmt: skip
    assert seen.gaps == ()
    assert "$1$" not in seen.model_dump_json()
    ada = next(one for one in seen.accounts if one.name == "ada")
    assert set(ada.rights) >= {"group sudo", "group docker", "password set", "sudo ALL as ALL:ALL", "shell /bin/bash"}
    assert {one.name: one.can_log_in for one in seen.accounts} == {
        "root": False, "toor": False, "daemon": False, "postgres": False, "ada": True, "ben": True, "eve": True,
        "old": True, "gone": False, "sync": False,
    }  # fmt: skip


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


def public(key):
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()


def private(key, passphrase=None):
    kind = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    return key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8 if passphrase else form.PrivateFormat.OpenSSH, kind
    )


def test_keys_are_told_by_type_length_age_and_what_they_force(host):
    weak, good = rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()
    curve = public(ec.generate_private_key(ec.SECP256R1()))
    fields = (b"ssh-dss", b"\0" + b"\xff" * 128)
    ancient = base64.b64encode(b"".join(len(one).to_bytes(4) + one for one in fields)).decode()
    host.write("/etc/ssh/sshd_config", "Include sshd_config.d/*.conf\n")
    host.write("/etc/ssh/sshd_config.d/keys.conf", "AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/keys/%u\n")
    ada = host.write("/home/ada/.ssh/authorized_keys", f"# mine\n{public(weak)} ada@old\n{curve} ada@new\n")
    forced = f'from="10.0.0.1",command="echo \\"a secret\\"" {curve} backup\n'
    host.write("/root/.ssh/authorized_keys", f"{public(good)} anywhere\n{forced}", 0o622)
    host.write("/etc/ssh/keys/ben", f"ssh-dss {ancient} ben\n")
    host.write("/etc/ssh/ssh_host_ed25519_key.pub", public(good))
    host.write("/etc/ssh/ssh_host_ed25519_key", private(good), 0o644)
    then = (utc_now() - timedelta(days=800)).timestamp()
    os.utime(ada, (then, then))
    seen = host.look(key_days=365)
    by_rule = {rule: [one for one in seen.findings if one.rule == rule] for rule, _ in of(seen, "ssh")}
    assert {one.location.split(" ")[0] for one in by_rule["ssh-key-weak"]} == {"ada", "ben"}
    assert any("ssh-rsa 1024 ada@old" in one.location for one in by_rule["ssh-key-weak"])
    assert any("ssh-dss 1024" in one.location for one in by_rule["ssh-key-weak"])
    assert len(by_rule["ssh-key-old"]) == 2
    assert f"since {datetime.fromtimestamp(then, UTC):%Y-%m-%d} at least" in by_rule["ssh-key-old"][0].location
    (unrestricted,) = by_rule["ssh-root-key"]
    assert "anywhere" in unrestricted.location
    assert {one.location.split(" ")[0] for one in by_rule["ssh-host-key-readable"]} == {"/etc/ssh/ssh_host_ed25519_key"}
    assert "/root/.ssh/authorized_keys" in {one.location.split(" ")[0] for one in by_rule["ssh-keys-writable"]}
    said = {one.name: " ".join(one.rights) for one in seen.accounts}
    assert 'from="10.0.0.1",command=…' in said["root"]
    assert "a secret" not in seen.model_dump_json()
    assert "ecdsa-sha2-nistp256 256 SHA256:" in said["ada"]
    host.write("/home/ben/.ssh/authorized_keys", "ssh-ed25519 none")
    assert any("/home/ben/.ssh/authorized_keys line 1 is no key" in gap for gap in host.look().gaps)
    host.write("/etc/ssh/sshd_config.d/more.conf", "AuthorizedKeysCommand none\nTrustedUserCAKeys /etc/ssh/ca.pub\n")
    assert [gap for gap in host.look().gaps if "sshd" in gap] == [
        "sshd takes every key that an authority signed too; review what it signs: /etc/ssh/ca.pub"
    ]


def test_private_keys_and_secret_files_are_held_against_the_system_file(host):
    good = ed25519.Ed25519PrivateKey.generate()
    # OpenSSH's own encrypted form begins with the name of its cipher.
    sealed = base64.b64encode(b"openssh-key-v1\0\0\0\0\x0aaes256-ctr\0\0\0\x06bcrypt")
    host.write("/home/ada/.ssh/id_open", private(good), 0o640)
    host.write(
        "/home/ada/.ssh/id_sealed",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + sealed + b"\n-----END OPENSSH PRIVATE KEY-----\n",
        0o600,
    )
    host.write("/home/ada/.ssh/id_pem", private(good, b"planted"), 0o600)
    host.write("/home/ada/.ssh/id_open.pub", public(good))
    host.write("/etc/app/one.key", "x", 0o600)
    host.write("/etc/app/two.key", "x", 0o644)
    (host.folder / "etc/app/link.key").symlink_to("/etc/app/two.key")
    (host.folder / "etc/app/one.key").chmod(0o400)
    mine = os.getuid()
    host.write("/etc/passwd", f"{PASSWD}me:x:{mine}:1::/x:/bin/false\n" if mine else PASSWD)
    owner = "me" if mine else "root"
    secrets = [{"path": "/etc/app/*.key", "owner": owner}, {"path": "/etc/app/one.key", "mode": "0400", "owner": "ada"}]
    seen = host.look(private_keys=["/home/*/.ssh/id_*"], secrets=secrets)
    opened = "/home/ada/.ssh/id_open"
    assert of(seen, "private", "secret") == {
        ("private-key-without-passphrase", opened), ("private-key-readable", opened),
        ("secret-mode", "/etc/app/two.key"), ("secret-mode", "/etc/app/link.key"), ("secret-owner", "/etc/app/one.key"),
    }  # fmt: skip
    assert seen.gaps == ()
    assert "no file fits /etc/nothing/*" in host.look(secrets=[{"path": "/etc/nothing/*"}]).gaps[0]


def lastlog(uid, seconds):
    return b"\0" * 292 * uid + struct.pack("=i32s256s", seconds, b"pts/0", b"")


def wtmp(name, seconds):
    return struct.pack("=hxxi32s4s32s256shhiii4i20x", 7, 1, b"pts/0", b"", name, b"", 0, 0, 0, seconds, 0, *[0] * 4)


def unused(seen):
    return {one.location for one in seen.findings if one.rule == "unused-account"}


def test_accounts_that_nobody_uses_are_found_by_whatever_the_host_records(host):
    now = int(utc_now().timestamp())
    days = 86400
    assert any("who logged in is not recorded" in gap for gap in host.look(unused_days=90).gaps)
    assert host.look().gaps == (), "nobody asked"
    host.write("/var/log/wtmp", wtmp(b"ada", now - 10 * days) + b"cut off")
    seen = host.look(unused_days=90)
    assert (unused(seen), len(seen.gaps)) == (set(), 1), "ten days of records say nothing of ninety"
    host.write("/var/log/wtmp.1", wtmp(b"ben", now - 200 * days))
    seen = host.look(unused_days=90)
    assert seen.gaps == ()
    then = datetime.fromtimestamp(now - 200 * days, UTC)
    assert unused(seen) == {f"ben (last seen {then:%Y-%m-%d})", "eve (never seen)", "old (never seen)"}
    host.write("/var/log/lastlog", lastlog(1001, now - 5 * days))
    assert unused(host.look(unused_days=90)) == {"eve (never seen)", "old (never seen)"}
    with (host.folder / "var/log/lastlog").open("r+b") as file:
        file.truncate(4_000_000_000 * 292)  # as it is where uids come from a directory
    assert host.look(unused_days=90).gaps == ()
    place = host.folder / "var/lib/lastlog/lastlog2.db"
    place.parent.mkdir(parents=True)
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE Lastlog2 (Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT)")
        database.execute("INSERT INTO Lastlog2 VALUES ('eve', ?, 'pts/0')", (now - days,))
    database.close()
    seen = host.look(unused_days=90)
    assert unused(seen) == {"old (never seen)"}
    assert next(one for one in seen.accounts if one.name == "eve").last_seen == datetime.fromtimestamp(now - days, UTC)


def test_an_absolute_link_leads_to_the_hosts_own_file_and_not_to_ours(host):
    host.write("/usr/etc/passwd", "only:x:1000:1000::/home/only:/bin/bash\n")
    (host.folder / "etc/passwd").unlink()
    (host.folder / "etc/passwd").symlink_to("/usr/etc/passwd")
    assert [one.name for one in host.look().accounts if one.kind == "host account"] == ["only"]
    (host.folder / "etc/passwd").unlink()
    (host.folder / "etc/passwd").symlink_to("../../../../../../../../../etc/passwd")
    scan = audit(HostAccess(name="web", root=str(host.folder)))
    assert scan.state is ScanState.INCOMPLETE, "a link to itself"


def test_what_may_not_be_read_is_said_and_nothing_is_called_clean(host):
    host.write("/etc/passwd", "ada:x:1000:1000::/home/ada:/bin/bash\n")
    for path in ("/etc/shadow", "/etc/sudoers"):
        (host.folder / path.lstrip("/")).chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        scan = audit(HostAccess(name="web", root=str(host.folder)))
    finally:
        os.seteuid(before)
    assert scan.state is ScanState.INCOMPLETE
    assert "/etc/shadow cannot be read: Permission denied; let the run of" in scan.reason
    assert "/etc/sudoers cannot be read" in scan.reason
    assert {one.rule for one in scan.findings} == {"powerful-group"}, "what was seen is told"


def test_accounts_of_a_directory_service_are_not_passed_over_in_silence(host):
    host.write(
        "/etc/nsswitch.conf", "passwd: files systemd sss\ngroup: files [SUCCESS=merge] ldap # old\nsudoers: files\n"
    )
    assert [gap.split(" too;")[0] for gap in host.look().gaps] == [
        "nsswitch.conf takes passwd from sss", "nsswitch.conf takes group from ldap",
    ]  # fmt: skip


def test_a_root_that_is_not_there_is_a_failed_audit():
    scan = audit(HostAccess(name="web", root="/nowhere/at-all"))
    assert scan.state is ScanState.FAILED
    assert "there is no folder /nowhere/at-all" in scan.reason
