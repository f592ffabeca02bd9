"""Scans by the real Trivy and gitleaks: what is there is found, and what was not looked at is never clean."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.demo.planted import KEY_ID, SECRET, plant
from deployments.demo.vulnerabilities import write_database
from tasks.base.clock import utc_now
from tasks.base.findings import ScanState, Severity
from tasks.base.scans import as_scan
from tasks.base.security import SecurityPolicy
from tasks.scanners.plan import gitleaks_scans, trivy_scans
from tasks.scanners.silencers import silenced_places
from tasks.scanners.trivy import Kind
from tests.real.registry import registry

TOOLS = Path(sys.prefix) / "tools" / "bin"


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    assert (TOOLS / "trivy").is_file(), "the scanners are not installed; run make setup"
    monkeypatch.setenv("PATH", f"{TOOLS}:{os.environ['PATH']}")
    monkeypatch.setenv("SCAN_KEY", "0123456789abcdef")


@pytest.fixture(scope="module")
def vulnerabilities(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vulnerabilities")
    write_database(folder)
    return folder


@pytest.fixture
def planted(tmp_path):
    plant(tmp_path / "planted")
    return tmp_path / "planted"


def policy(vulnerabilities, **what):
    return SecurityPolicy.model_validate(
        {"offline": True, "database": {"folder": str(vulnerabilities)}, "secret_key": "env:SCAN_KEY", **what}
    )


def scans(policy, folder, *kinds):
    """Each scope with its scan."""
    asked = [*trivy_scans(policy, folder, *(kinds or Kind)), *gitleaks_scans(policy)]
    return {scope: look() for scope, look in asked}


def made(folder):
    folder.mkdir()
    return folder


def one(policy, folder):
    (scan,) = scans(policy, folder).values()
    return scan


def folder(path):
    return [{"name": "app", "path": str(path)}]


def commit(folder, message):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
    subprocess.run(["git", "-C", folder, *identity, "commit", "-qm", message], check=True)


@pytest.fixture
def work_tree(tmp_path, planted):
    """A git work tree whose last commit takes the planted secret out again."""
    subprocess.run(["git", "init", "-q", planted], check=True)
    commit(planted, "in")
    (planted / "settings.ini").unlink()
    commit(planted, "out")
    return planted


def layers(files):
    """Configuration and layer of an image of those files; every content has a digest of its own."""
    layer, made = io.BytesIO(), utc_now().isoformat()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for place, text in files.items():
            _add(tar, place, text.encode())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": made,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
        "history": [{"created": made, "created_by": "COPY"}],
    }
    return json.dumps(config).encode(), layer.getvalue()


def image(path, files, name="app:1"):
    """A tar as docker save writes it, with one layer of those files."""
    config, layer = layers(files)
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for place, data in ((config_name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            _add(tar, place, data)


def _add(tar, place, data):
    entry = tarfile.TarInfo(place)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def python_package(name, version):
    return {f"usr/lib/python3/dist-packages/{name}-{version}.dist-info/METADATA": f"Name: {name}\nVersion: {version}\n"}


def found(scan):
    return {(finding.rule, finding.location) for finding in scan.findings}


def test_what_was_planted_is_found_and_nothing_else(vulnerabilities, planted, tmp_path):
    asked = policy(
        vulnerabilities, filesystems=folder(planted), configurations=folder(planted), folders=folder(planted)
    )
    result = scans(asked, tmp_path)
    assert {scan.state for scan in result.values()} == {ScanState.FINDINGS}, [scan.reason for scan in result.values()]
    assert found(result["trivy fs app"]) == {
        ("CVE-2019-19844", "requirements.txt"),
        ("CVE-2024-22195", "requirements.txt"),
        ("aws-access-key-id", "settings.ini:1"),
        ("aws-secret-access-key", "settings.ini:2"),
    }
    assert {rule for rule, _ in found(result["trivy config app"])} == {"DS-0002"}
    assert found(result["gitleaks dir app"]) == {
        ("aws-access-token", "settings.ini:1"),
        ("generic-api-key", "settings.ini:2"),
    }
    django = next(one for one in result["trivy fs app"].findings if one.package == "django")
    assert (django.severity, django.installed_version, django.fixed_version) == (Severity.CRITICAL, "1.2", "1.11.27")
    said = repr(result)
    assert SECRET not in said
    assert KEY_ID not in said


def test_the_same_folder_without_them_is_clean(vulnerabilities, planted, tmp_path):
    (planted / "requirements.txt").write_text("django==5.2\n")
    (planted / "Dockerfile").write_text("FROM debian:12\nUSER app\nHEALTHCHECK CMD true\n")
    (planted / "settings.ini").write_text("colour = green\n")
    asked = policy(
        vulnerabilities, filesystems=folder(planted), configurations=folder(planted), folders=folder(planted)
    )
    assert {scan.state for scan in scans(asked, tmp_path).values()} == {ScanState.CLEAN}


def test_a_secret_that_was_taken_out_is_found_in_the_history(vulnerabilities, work_tree, tmp_path):
    scan = one(policy(vulnerabilities, repositories=folder(work_tree)), tmp_path)
    assert {rule for rule, _ in found(scan)} == {"aws-access-token", "generic-api-key"}


def test_an_image_and_a_root_folder_are_scanned(vulnerabilities, tmp_path):
    image(tmp_path / "app.tar", python_package("django", "1.2"))
    root = tmp_path / "root"
    for place, text in python_package("jinja2", "3.1.2").items():
        (root / place).parent.mkdir(parents=True)
        (root / place).write_text(text)
    asked = policy(vulnerabilities, images=[{"name": "app", "archive": str(tmp_path / "app.tar")}], hosts=folder(root))
    result = scans(asked, tmp_path)
    assert {one.rule for one in result["trivy image app"].findings} == {"CVE-2019-19844"}
    assert {one.rule for one in result["trivy rootfs app"].findings} == {"CVE-2024-22195"}


def test_a_finding_keeps_its_identity_over_rebuild_bump_and_moved_lines(vulnerabilities, planted, tmp_path):
    asked = policy(
        vulnerabilities,
        images=[{"name": "app", "archive": str(tmp_path / "app.tar")}],
        filesystems=folder(planted),
        folders=folder(planted),
    )

    def identities():
        return {finding.identity for scan in scans(asked, tmp_path).values() for finding in scan.findings}

    image(tmp_path / "app.tar", python_package("django", "1.2"), name="app:1")
    before = identities()
    image(tmp_path / "app.tar", {"new": "x", **python_package("django", "1.3")}, name="app:2")
    (planted / "requirements.txt").write_text("# pinned\ndjango==1.3\njinja2==3.1.2\n")
    (planted / "settings.ini").write_text("# moved\n\n" + (planted / "settings.ini").read_text())
    assert identities() == before


def test_silence_hidden_in_the_scanned_folder_silences_nothing(vulnerabilities, planted, tmp_path, monkeypatch):
    (planted / ".gitleaks.toml").write_text('[[rules]]\nid = "nothing"\nregex = "x^"\n')
    subprocess.run(["git", "init", "-q", planted], check=True)
    (planted / ".gitattributes").write_text("*.ini -diff\n")
    commit(planted, "in")
    head = subprocess.run(["git", "-C", planted, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    places = [f"{head.stdout.strip()}:settings.ini", "settings.ini", planted / "settings.ini"]
    known = [f"{place}:{rule}" for place in places for rule in ("aws-access-token:1", "generic-api-key:2")]
    (planted / ".gitleaksignore").write_text("\n".join(known))
    (planted / ".trivyignore").write_text("CVE-2019-19844\n")
    (planted / ".trivyignore.yaml").write_text("vulnerabilities: [{id: CVE-2019-19844}]\n")
    (planted / "trivy.yaml").write_text("scan: {skip-files: ['**/*']}\nvulnerability: {ignore-status: [fixed]}\n")
    (planted / "trivy-secret.yaml").write_text("disable-rules: [aws-access-key-id, aws-secret-access-key]\n")
    text = (planted / "settings.ini").read_text().splitlines()
    (planted / "settings.ini").write_text("".join(f"{line} # gitleaks:allow trivy:ignore:*\n" for line in text))
    monkeypatch.setenv("TRIVY_SEVERITY", "LOW")
    monkeypatch.setenv("TRIVY_IGNORE_STATUS", "fixed")
    monkeypatch.chdir(planted)
    both = {"folders": folder(planted), "repositories": folder(planted)}
    result = scans(policy(vulnerabilities, filesystems=folder(planted), **both), tmp_path)
    rules = {rule for rule, _ in found(result["trivy fs app"])}
    assert rules == {"CVE-2019-19844", "CVE-2024-22195", "aws-access-key-id", "aws-secret-access-key"}
    for scope in ("gitleaks dir app", "gitleaks git app"):
        assert {rule for rule, _ in found(result[scope])} == {"aws-access-token", "generic-api-key"}, scope


def test_a_comment_that_silences_trivy_is_a_finding_itself(vulnerabilities, tmp_path):
    place = tmp_path / "deploy"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM debian:12\n#trivy:ignore:DS-0002\nUSER root\nHEALTHCHECK CMD true\n")
    (place / "main.tf").write_text('#tfsec:ignore:*\nresource "aws_s3_bucket" "b" {\n  bucket = "x"\n}\n')
    scan = one(policy(vulnerabilities, configurations=folder(place)), tmp_path)
    assert scan.state is ScanState.FINDINGS, "Trivy alone calls it clean"
    assert found(scan) == {("silenced-inline", "Dockerfile:2"), ("silenced-inline", "main.tf:1")}
    assert "trivy:ignore:DS-0002" in next(one.title for one in scan.findings if "Docker" in one.location)
    # Moved lines make no other finding of it.
    (place / "main.tf").write_text("\n\n" + (place / "main.tf").read_text())
    moved = silenced_places(place, "trivy config app")
    assert {finding.identity for finding in moved} == {finding.identity for finding in scan.findings}
    assert {finding.location for finding in moved} == {"Dockerfile:2", "main.tf:3"}


def test_a_secret_in_a_folder_of_tests_or_a_document_is_found(vulnerabilities, planted, tmp_path):
    for name in ("tests/settings.ini", "examples/settings.ini", "vendor/settings.ini", "settings.md"):
        (planted / name).parent.mkdir(exist_ok=True)
        (planted / name).write_text((planted / "settings.ini").read_text())
    scan = one(policy(vulnerabilities, filesystems=folder(planted)), tmp_path)
    places = {place.partition(":")[0] for rule, place in found(scan) if rule == "aws-access-key-id"}
    assert places == {
        "settings.ini", "tests/settings.ini", "examples/settings.ini", "vendor/settings.ini", "settings.md",
    }  # fmt: skip


def test_the_database_comes_from_the_first_mirror_that_gives_it(vulnerabilities, planted, tmp_path, monkeypatch):
    # What the host sets for Trivy does not lead elsewhere.
    monkeypatch.setenv("TRIVY_DB_REPOSITORY", "127.0.0.1:1/nowhere")
    with registry() as empty, registry() as good:
        mirrors = ["127.0.0.1:1/trivy-db", f"{empty.address}/trivy-db", good.hold_database(vulnerabilities)]
        asked = {"offline": False, "filesystems": [*folder(planted), {"name": "other", "path": str(planted)}]}
        result = scans(policy(vulnerabilities, **asked, database={"mirrors": mirrors}), made(tmp_path / "one"))
        assert {scan.state for scan in result.values()} == {ScanState.FINDINGS}, [one.reason for one in result.values()]
        assert all("CVE-2019-19844" in {rule for rule, _ in found(scan)} for scan in result.values())
        assert (404, "/v2/trivy-db/manifests/2") in empty.asked
        assert len([path for _, path in good.asked if "/blobs/" in path]) == 1, "fetched once for all scans"
        none = scans(policy(vulnerabilities, **asked, database={"mirrors": mirrors[:2]}), made(tmp_path / "two"))
    assert {scan.state for scan in none.values()} == {ScanState.FAILED}
    assert all("connection refused" in scan.reason and "NOT_FOUND" in scan.reason for scan in none.values())


def test_an_image_is_pulled_with_the_credentials_of_its_registry(vulnerabilities, tmp_path, monkeypatch):
    password = f"pulls-{uuid.uuid4().hex}"
    monkeypatch.setenv("PULL_USER", "puller")
    monkeypatch.setenv("PULL_PASSWORD", password)
    config, layer = layers(python_package("django", "1.2"))
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    with registry(f"puller:{password}") as asked:
        image = {"name": "app", "reference": asked.hold("team/app", "latest", kinds[0], config, kinds[1], layer)}
        known = {"username": "env:PULL_USER", "password": "env:PULL_PASSWORD"}
        pulled = one(policy(vulnerabilities, images=[image | known]), tmp_path)
        stranger = one(policy(vulnerabilities, images=[image]), tmp_path)
    assert {rule for rule, _ in found(pulled)} == {"CVE-2019-19844"}, pulled.reason
    assert (stranger.state, stranger.findings) == (ScanState.FAILED, ())
    assert "security.images" in stranger.reason
    assert password not in repr((pulled, stranger))


def belongs_to_another_user(tmp_path, monkeypatch):
    """From now on git takes every folder for another user's; to make one takes root."""
    program = tmp_path / "programs" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_the_history_of_another_user_is_read_where_git_is_told_to_trust_it(
    vulnerabilities, work_tree, tmp_path, monkeypatch
):
    belongs_to_another_user(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {work_tree}\n")
    scan = one(policy(vulnerabilities, repositories=folder(work_tree)), tmp_path)
    assert {rule for rule, _ in found(scan)} == {"aws-access-token", "generic-api-key"}, scan.reason


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


def wrapper(path, script):
    """A program in the scanner's place that tells its version and then does something else."""
    path.write_text(f"#!/bin/sh\ncase \"$1\" in *version) echo 'Version: 0.76.0'; exit;; esac\n{script}\n")
    path.chmod(0o755)
    return {"path": str(path)}


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
    asked = policy(vulnerabilities, filesystems=folder(planted), trivy=program, timeout_seconds=1)
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
    scan = one(policy(vulnerabilities, **{where: folder(work_tree)}, gitleaks=program, timeout_seconds=1), tmp_path)
    assert (scan.scope, scan.state, scan.findings) == (f"gitleaks {command} app", state, ())
    assert says in scan.reason


@pytest.mark.parametrize("name", ["trivy", "gitleaks"])
def test_a_report_that_does_not_fit_the_disk_is_no_clean_scan(vulnerabilities, planted, tmp_path, name):
    # The real scanner, that may write no more than half a KiB of its report.
    full = f'ulimit -f 1; exec {TOOLS / name} "$@"'
    program = {name: wrapper(tmp_path / name, full)}
    what = {"filesystems": folder(planted)} if name == "trivy" else {"folders": folder(planted)}
    scan = one(policy(vulnerabilities, **what, **program), tmp_path)
    assert (scan.state, scan.findings) == (ScanState.FAILED, ())
    assert scan.reason


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


def test_eight_scans_at_a_time_take_no_lock_from_each_other(vulnerabilities, planted, tmp_path):
    image(tmp_path / "app.tar", python_package("django", "1.2"))
    images = [{"name": f"app{number}", "archive": str(tmp_path / "app.tar")} for number in range(8)]
    asked = trivy_scans(policy(vulnerabilities, images=images), tmp_path, Kind.IMAGE)
    with ThreadPoolExecutor(8) as pool:
        states = {scan.state for scan in pool.map(lambda scanning: scanning[1](), asked)}
    assert states == {ScanState.FINDINGS}


def test_nothing_of_a_scan_stays_behind(vulnerabilities, planted, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    left = place / "nightshift-scratch-999999999.1-killed"
    left.mkdir()
    (left / "report.json").write_text(SECRET)
    scans(policy(vulnerabilities, filesystems=folder(planted), folders=folder(planted)), tmp_path)
    assert list(place.iterdir()) == []
