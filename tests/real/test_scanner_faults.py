"""What the real Trivy and gitleaks did not look at, or could not tell, is failed or incomplete and never clean."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.demo.planted import plant
from deployments.demo.vulnerabilities import write_database
from tasks.base.clock import utc_now
from tasks.base.findings import ScanState
from tasks.base.scans import as_scan
from tests.real.scanning import TOOLS, belongs_to_another_user, folder, image, one, policy, scans, wrapper

pytestmark = pytest.mark.usefixtures("scanners")


@pytest.mark.parametrize(
    ("spoil", "state", "says"),
    [
        ("no tree", ScanState.FAILED, "cannot be read as a git work tree"),
        ("inside", ScanState.FAILED, "lies inside the git work tree"),
        ("shallow", ScanState.INCOMPLETE, "git fetch --unshallow"),
        ("empty", ScanState.FAILED, "has no commit"),
        ("unsafe", ScanState.FAILED, "safe.directory"),
        ("missing", ScanState.FAILED, "cannot be read as a git work tree"),
    ],
)
def test_history_that_gitleaks_does_not_see_is_never_clean(
    vulnerabilities, work_tree, tmp_path, monkeypatch, spoil, state, says
):
    place = work_tree
    if spoil == "no tree":
        place = tmp_path / "plain"
        plant(place)
    elif spoil == "inside":
        place = work_tree / "below"
        plant(place)
    elif spoil == "shallow":
        place = tmp_path / "shallow"
        subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{work_tree}", place], check=True)
    elif spoil == "empty":
        place = tmp_path / "empty"
        subprocess.run(["git", "init", "-q", place], check=True)
    elif spoil == "unsafe":
        belongs_to_another_user(tmp_path, monkeypatch)
    elif spoil == "missing":
        place = tmp_path / "nowhere"
    scan = one(policy(vulnerabilities, repositories=folder(place)), tmp_path)
    assert (scan.state, scan.findings) == (state, ())
    assert says in scan.reason


def test_without_a_fresh_database_nothing_is_said_of_vulnerabilities(vulnerabilities, planted, tmp_path):
    old, none = tmp_path / "old", tmp_path / "none"
    write_database(old, made_at=utc_now() - timedelta(days=3))
    asked = {"filesystems": folder(planted), "configurations": folder(planted)}
    for place, state, says in (
        (old, ScanState.INCOMPLETE, "the limit is 48 h"),
        (none, ScanState.FAILED, "holds no vulnerability database"),
    ):
        result = scans(policy(place, **asked), tmp_path)
        assert result["trivy fs app"].state is state
        assert says in result["trivy fs app"].reason
        assert result["trivy config app"].state is ScanState.FINDINGS, "its rules need no database"


def test_an_image_without_packages_and_a_folder_without_files_are_not_clean(vulnerabilities, tmp_path):
    image(tmp_path / "app.tar", {"hello": "world"})
    (tmp_path / "nothing").mkdir()
    asked = policy(
        vulnerabilities,
        images=[{"name": "app", "archive": str(tmp_path / "app.tar")}],
        filesystems=folder(tmp_path / "nothing"),
    )
    result = scans(asked, tmp_path)
    assert result["trivy image app"].state is ScanState.INCOMPLETE
    assert "no package" in result["trivy image app"].reason
    assert result["trivy fs app"].state is ScanState.FAILED


@pytest.mark.parametrize(
    ("script", "state", "says"),
    [
        ("sleep 60", ScanState.INCOMPLETE, "security.timeout_seconds"),
        ("kill -9 $$", ScanState.FAILED, "signal 9"),
        ("exit 0", ScanState.FAILED, "no report"),
        ('for i in "$@"; do case $i in */report.json) echo "{" > $i;; esac; done', ScanState.FAILED, "no report"),
        ('for i in "$@"; do case $i in */report.json) echo "[]" > $i;; esac; done', ScanState.FAILED, "no report"),
    ],
)
def test_a_scanner_that_does_not_end_well_is_not_clean(vulnerabilities, planted, tmp_path, script, state, says):
    program = wrapper(tmp_path / "trivy", script)
    limit = {"timeout_seconds": 1} if script == "sleep 60" else {}
    asked = policy(vulnerabilities, filesystems=folder(planted), trivy=program, **limit)
    scan = one(asked, tmp_path)
    assert (scan.state, scan.findings) == (state, ())
    assert says in scan.reason


@pytest.mark.parametrize(
    ("command", "script", "state", "says"),
    [
        ("git", "sleep 60", ScanState.INCOMPLETE, "security.timeout_seconds"),
        ("dir", "kill -9 $$", ScanState.FAILED, "signal 9"),
        ("git", "echo '1 commits scanned.' >&2", ScanState.FAILED, "no report"),
        ("git", "echo 'ERR git ended badly' >&2; exit 1", ScanState.INCOMPLETE, "git ended badly"),
        (
            "dir",
            'for i in "$@"; do case $i in */report.json) echo "{" > $i;; esac; done',
            ScanState.FAILED,
            "no report",
        ),
    ],
)
def test_gitleaks_that_does_not_end_well_is_not_clean(
    vulnerabilities, work_tree, tmp_path, command, script, state, says
):
    program = wrapper(tmp_path / "gitleaks", script)
    where = "repositories" if command == "git" else "folders"
    limit = {"timeout_seconds": 1} if script == "sleep 60" else {}
    scan = one(policy(vulnerabilities, **{where: folder(work_tree)}, gitleaks=program, **limit), tmp_path)
    assert (scan.scope, scan.state, scan.findings) == (f"gitleaks {command} app", state, ())
    assert says in scan.reason


@pytest.fixture
def to_fill_the_disk(tmp_path, monkeypatch):
    """Shell that leaves no room for what a scanner writes, and what is said then.

    Temporary files lie on a small disk of their own; a user who may not mount one gets a limit on the size of files.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True)
    if mounted.returncode:
        yield "ulimit -f 1", ""
        return
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    try:
        yield f"cat /dev/zero > {disk}/filler 2> /dev/null", "no space left on device"
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("name", ["trivy", "gitleaks"])
def test_a_report_that_does_not_fit_the_disk_is_no_clean_scan(
    vulnerabilities, planted, tmp_path, name, to_fill_the_disk
):
    fill, said = to_fill_the_disk
    program = {name: wrapper(tmp_path / name, f'{fill}; exec {TOOLS / name} "$@"')}
    what = {"filesystems": folder(planted)} if name == "trivy" else {"folders": folder(planted)}
    scan = one(policy(vulnerabilities, **what, **program), tmp_path)
    assert (scan.state, scan.findings) == (ScanState.FAILED, ())
    assert said in scan.reason


def test_what_nightshift_itself_cannot_write_fails_the_scan_with_a_sentence():
    def look():
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"rules")
        return []

    scan = as_scan("trivy fs app", "trivy", look)
    assert scan.state is ScanState.FAILED
    assert "No space left on device" in scan.reason


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ({"path": "/nowhere/trivy"}, "is not at /nowhere/trivy"),
        ({"versions": ["0.75.0"]}, "security.trivy.versions allows 0.75.0"),
        ({"sha256": ["0" * 64]}, "security.trivy.sha256 does not allow"),
    ],
)
def test_a_program_that_is_not_allowed_does_not_run(vulnerabilities, planted, tmp_path, program, says):
    scan = one(policy(vulnerabilities, filesystems=folder(planted), trivy=program), tmp_path)
    assert scan.state is ScanState.FAILED
    assert says in scan.reason


def test_a_release_known_to_be_malicious_does_not_run(vulnerabilities, planted, tmp_path):
    bad = tmp_path / "trivy"
    bad.write_text("#!/bin/sh\necho Version: 0.69.4\n")
    bad.chmod(0o755)
    scan = one(policy(vulnerabilities, filesystems=folder(planted), trivy={"path": str(bad)}), tmp_path)
    assert "malicious" in scan.reason
