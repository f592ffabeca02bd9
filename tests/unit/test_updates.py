"""Pending security updates, from what apt and dnf say; what they cannot know is never called up to date."""

import os

import pytest

from tasks.base import stopping
from tasks.base.errors import StoppedError
from tasks.base.findings import ScanState, Severity
from tasks.base.security_check import UpdatePolicy
from tasks.base.words import Verdict
from tasks.host.updates import check_updates
from tests.unit.programs import Programs

# Lines that apt 2.6 printed.
UPGRADABLE = """Listing...
apt/oldstable-security 2.6.2 amd64 [upgradable from: 2.6.1]
base-files/oldstable 12.4+deb12u15 amd64 [upgradable from: 12.4+deb12u11]
libssl3/oldstable-security,oldstable 3.0.19-1~deb12u2 amd64 [upgradable from: 3.0.17-1~deb12u2]
"""
# And apt-cache: of base-files the archive of the security team has a version between, of bash only an older one.
BETWEEN = """base-files:
  Installed: 12.4+deb12u11
  Candidate: 12.4+deb12u15
  Version table:
     12.4+deb12u15 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
     12.4+deb12u13 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
 *** 12.4+deb12u11 100
        100 /var/lib/dpkg/status
bash:
  Installed: 5.2.15-2+b8
  Candidate: 5.2.15-2+b13
  Version table:
     5.2.15-2+b13 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
 *** 5.2.15-2+b8 100
        100 /var/lib/dpkg/status
     5.2.15-2+b7 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
"""
HOUR = 3600
POLICY = UpdatePolicy()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    return Programs(tmp_path / "bin", monkeypatch, alone=True)


@pytest.fixture
def lists(tmp_path, programs):
    """A folder of package lists that apt-config names, fetched a moment ago; a function that makes them older."""
    folder = tmp_path / "lists"
    (folder / "partial").mkdir(parents=True)
    (folder / "deb.example_dists_stable_InRelease").touch()
    programs.say("apt-config", f"LISTS='{folder}/'\nSTATE='{tmp_path}/'\n")

    def older(hours):
        moment = (folder / "partial").stat().st_mtime - hours * HOUR
        for place in (*folder.iterdir(), folder):
            os.utime(place, (moment, moment))

    return older


def look(tmp_path):
    return check_updates(POLICY, tmp_path / "reboot-required")


def test_security_updates_are_told_apart_and_become_findings(programs, lists, tmp_path):
    programs.say("apt", UPGRADABLE, stderr="WARNING: apt does not have a stable CLI interface.\n")
    programs.say("apt-cache", BETWEEN[BETWEEN.index("bash:") :].replace("bash", "base-files"))
    scan = look(tmp_path)
    assert scan.state is ScanState.FINDINGS
    assert [(one.package, one.installed_version, one.fixed_version) for one in scan.findings] == [
        ("apt", "2.6.1", "2.6.2"),
        ("libssl3", "3.0.17-1~deb12u2", "3.0.19-1~deb12u2"),
    ]
    (line,) = scan.checks
    assert (line.verdict, line.value) == (Verdict.WARN, 2)
    assert "libssl3 3.0.19-1~deb12u2; 1 other updates" in line.message
    (table,) = scan.attachments
    assert [(row["package"], row["is_security"]) for row in table.rows] == [
        ("apt", True),
        ("base-files", False),
        ("libssl3", True),
    ]


def test_a_security_update_that_a_newer_version_hides_is_one_all_the_same(programs, lists, tmp_path):
    bash = "bash/oldstable 5.2.15-2+b13 amd64 [upgradable from: 5.2.15-2+b8]\n"
    programs.say("apt", UPGRADABLE + bash)
    programs.say("apt-cache", BETWEEN)
    scan = look(tmp_path)
    assert {one.package: one.severity for one in scan.findings} == dict.fromkeys(
        ("apt", "base-files", "libssl3"), Severity.HIGH
    )
    programs.say("apt-cache", "", code=100)
    assert look(tmp_path).state is ScanState.INCOMPLETE, "whether one is hidden is not known"


def test_nothing_pending_is_good_only_with_fresh_lists(programs, lists, tmp_path):
    programs.say("apt", "Listing...\n")
    assert [line.verdict for line in look(tmp_path).checks] == [Verdict.OK]
    lists(hours=60)
    scan = look(tmp_path)
    assert scan.state is ScanState.INCOMPLETE
    assert "60 h old, the limit is 48 h" in scan.reason
    assert Verdict.INCOMPLETE in [line.verdict for line in scan.checks]
    # What was fetched and is not new keeps the archive's time; the folder of unfinished lists tells of the fetch.
    os.utime(tmp_path / "lists" / "partial")
    assert [line.verdict for line in look(tmp_path).checks] == [Verdict.OK]
    (tmp_path / "lists" / "deb.example_dists_stable_InRelease").unlink()
    assert "were never fetched" in look(tmp_path).reason


def test_a_reboot_that_is_asked_for_is_told_with_what_asks_for_it(programs, lists, tmp_path):
    programs.say("apt", "Listing...\n")
    (tmp_path / "reboot-required").write_text("*** System restart required ***\n")
    (tmp_path / "reboot-required.pkgs").write_text("linux-image-6.1.0-40-amd64\nlibc6\nlibc6\n")
    scan = look(tmp_path)
    assert [one.rule for one in scan.findings] == ["reboot-required"]
    assert "(libc6, linux-image-6.1.0-40-amd64)" in scan.checks[-1].message


def test_words_that_are_not_those_of_the_program_are_no_good_news(programs, lists, tmp_path):
    for said, code in (("Es gibt nichts zu tun\n", 0), ("E: dpkg was interrupted\n", 100)):
        programs.say("apt", said, code=code)
        scan = look(tmp_path)
        assert (scan.state, scan.checks[0].verdict) == (ScanState.INCOMPLETE, Verdict.FAIL), said


def test_advisories_of_dnf_bring_their_severity(programs, tmp_path):
    four = (
        "RHSA-2026:1 Important/Sec. openssl-libs-1:3.0.7-27.el9.x86_64\n"
        "RHSA-2026:2 Critical/Sec. openssl-libs-1:3.0.7-28.el9.x86_64\n"
    )
    five = (
        "Name          Type     Severity  Package                     Issued\n"
        "FEDORA-2026-1 security Moderate  vim-minimal-9.1.1-1.fc42.x86_64 2026-01-02 01:02:03\n"
    )
    programs.say("dnf", four)
    assert [(one.package, one.severity) for one in look(tmp_path).findings] == [("openssl-libs", Severity.CRITICAL)]
    programs.say("dnf", five)
    assert [(one.package, one.severity) for one in look(tmp_path).findings] == [("vim-minimal", Severity.MEDIUM)]
    programs.say("dnf", "")
    assert [line.verdict for line in look(tmp_path).checks] == [Verdict.OK]


def test_a_host_without_a_package_manager_is_not_known(programs, tmp_path):
    scan = look(tmp_path)
    assert (scan.state, scan.checks[0].verdict) == (ScanState.INCOMPLETE, Verdict.SKIP)


def test_the_package_manager_of_this_host_is_understood(tmp_path):
    """A host with neither apt nor dnf cannot show that the real one is understood, and fails here."""
    scan = look(tmp_path)
    assert scan.checks[0].verdict in (Verdict.OK, Verdict.WARN), scan.checks


def test_a_run_that_is_stopped_is_not_told_as_what_the_host_said(programs, lists, tmp_path):
    programs.say("apt", "Listing...\n")
    stopping.stop_all()
    try:
        with pytest.raises(StoppedError):
            look(tmp_path)
    finally:
        stopping.reset()
