"""Scans by the real Trivy and gitleaks: what is there is found, and nothing else."""

import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.demo.planted import KEY_ID, SECRET
from tasks.base.findings import ScanState, Severity
from tasks.scanners.plan import trivy_scans
from tasks.scanners.silencers import silenced_places
from tasks.scanners.trivy import Kind
from tests.real.registry import registry
from tests.real.scanning import (
    belongs_to_another_user,
    commit,
    folder,
    found,
    image,
    layers,
    made,
    one,
    policy,
    python_package,
    scans,
)

pytestmark = pytest.mark.usefixtures("scanners")


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


def test_the_history_of_another_user_is_read_where_git_is_told_to_trust_it(
    vulnerabilities, work_tree, tmp_path, monkeypatch
):
    belongs_to_another_user(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {work_tree}\n")
    scan = one(policy(vulnerabilities, repositories=folder(work_tree)), tmp_path)
    assert {rule for rule, _ in found(scan)} == {"aws-access-token", "generic-api-key"}, scan.reason


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
