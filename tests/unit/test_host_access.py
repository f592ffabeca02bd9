"""The audit of a host's accounts: what is wrong is found, what is right is not, and what cannot be read is said."""

import os
import sqlite3
import struct
from datetime import UTC, datetime

from tasks.base.access import HostAccess
from tasks.base.clock import utc_now
from tasks.base.findings import ScanState
from tasks.host.access import audit
from tests.unit.hosts import host, of

__all__ = ["host"]


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
