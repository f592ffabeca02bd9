"""What scans of tests have in common: the policy, what is scanned, and programs in the scanners' place."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tasks.base.clock import utc_now
from tasks.base.security import SecurityPolicy
from tasks.scanners.plan import gitleaks_scans, trivy_scans
from tasks.scanners.trivy import Kind

TOOLS = Path(sys.prefix) / "tools" / "bin"


def policy(vulnerabilities, **what):
    return SecurityPolicy.model_validate(
        {"offline": True, "database": {"folder": str(vulnerabilities)}, "secret_key": "env:SCAN_KEY", **what}
    )


def scans(policy, folder, *kinds):
    """Each scope with its scan."""
    asked = [*trivy_scans(policy, folder, *(kinds or Kind)), *gitleaks_scans(policy)]
    return {scope: look() for scope, look in asked}


def one(policy, folder):
    (scan,) = scans(policy, folder).values()
    return scan


def found(scan):
    return {(finding.rule, finding.location) for finding in scan.findings}


def folder(path):
    return [{"name": "app", "path": str(path)}]


def made(folder):
    folder.mkdir()
    return folder


def commit(folder, message):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
    subprocess.run(["git", "-C", folder, *identity, "commit", "-qm", message], check=True)


def belongs_to_another_user(tmp_path, monkeypatch):
    """From now on git takes every folder for another user's; to make one takes root."""
    program = tmp_path / "programs" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


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


def wrapper(path, script):
    """A program in the scanner's place that tells its version and then does something else."""
    path.write_text(f"#!/bin/sh\ncase \"$1\" in *version) echo 'Version: 0.76.0'; exit;; esac\n{script}\n")
    path.chmod(0o755)
    return {"path": str(path)}
