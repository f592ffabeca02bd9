"""What Trivy passes over in silence at the top of what it scans is never called clean."""

import os
import sys
from pathlib import Path

import pytest

from tasks.base.errors import ToolFailedError
from tasks.base.findings import ScanState
from tasks.base.security import Folder, SecurityPolicy
from tasks.scanners.plan import trivy_scans
from tasks.scanners.trivy import Job, Kind, require_target


def scanned(tmp_path, *names):
    """The scans of configuration by the real Trivy, of these folders below the test's, by name."""
    folders = [{"name": name or "app", "path": f"{tmp_path}/app/{name}".rstrip("/")} for name in names]
    policy = SecurityPolicy.model_validate({"configurations": folders, "offline": True})
    return {scope.split()[-1]: look() for scope, look in trivy_scans(policy, tmp_path, Kind.CONFIGURATION)}


def test_a_folder_of_a_tree_that_trivy_passes_over_makes_its_scan_incomplete(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.prefix) / 'tools' / 'bin'}:{os.environ['PATH']}")
    for place in (tmp_path / "app", tmp_path / "app" / "dev"):
        place.mkdir()
        (place / "Dockerfile").write_text("FROM alpine:latest\nUSER root\n")
    (tmp_path / "app" / "sys").mkdir()
    app = scanned(tmp_path, "")["app"]
    assert app.state is ScanState.INCOMPLETE
    assert f"Trivy passes over {tmp_path}/app/dev, as it does" in app.reason
    assert {one.location.partition(":")[0] for one in app.findings} == {"Dockerfile"}, "what it saw is told"
    both = scanned(tmp_path, "", "dev")
    assert {name: scan.state for name, scan in both.items()} == {"app": ScanState.FINDINGS, "dev": ScanState.FINDINGS}


def test_of_a_host_the_kernels_own_files_are_not_asked_for(tmp_path):
    (tmp_path / "proc" / "1").mkdir(parents=True)
    (tmp_path / "proc" / "1" / "status").touch()
    app = Folder(name="app", path=str(tmp_path))
    require_target(Job(kind=Kind.FILESYSTEM, target=app))
    with pytest.raises(ToolFailedError, match="holds no file"):
        require_target(Job(kind=Kind.ROOT, target=app))
