"""What is sampled of this host: the figures of df, du and free, and nothing made up where something cannot be read."""

import os
import subprocess

import psutil
import pytest

from tasks.base.capacity import HostSampling
from tasks.base.errors import IncompleteError
from tasks.base.words import Verdict
from tasks.host.directories import directory_bytes
from tasks.host.samples import mount_points, sample_host


def by_kind(found):
    return {(one.kind, one.resource.partition(":")[2]): one for one in found.samples}


def test_the_file_system_of_the_root_is_what_df_says():
    def said():
        command = ["df", "-B1", "--output=used,avail", "/"]
        line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1]
        return [int(text) for text in line.split()]

    # Others write to it meanwhile.
    before, root, after = said(), by_kind(sample_host(HostSampling()))["filesystem", "/"], said()
    assert 0.98 * min(before[0], after[0]) <= root.used <= 1.02 * max(before[0], after[0])
    assert root.capacity == pytest.approx(sum(after), rel=0.02)


def test_memory_processor_and_network_are_there():
    found = {one.kind: one for one in sample_host(HostSampling()).samples}
    assert found["memory"].capacity == psutil.virtual_memory().total
    assert 0 < found["memory"].used < found["memory"].capacity
    assert found["cpu total"].capacity == psutil.cpu_count() * 86400
    assert found["cpu total"].used > 0
    assert not [one for one in sample_host(HostSampling()).samples if one.resource.endswith(":lo")]


def test_only_what_the_patterns_name_is_taken():
    assert mount_points(HostSampling(filesystems=("/nowhere*",))) == []
    found = sample_host(HostSampling(filesystems=("/nowhere*",), processor=False, interfaces=()))
    assert found.samples == ()


def test_each_file_system_is_taken_once():
    mounts = mount_points(HostSampling())
    devices = [os.stat(mount).st_dev for mount in mounts]
    assert "/" in mounts
    assert len(devices) == len(set(devices))


def test_a_directory_is_what_du_says(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(b"x" * 300_000)
    (tmp_path / "deep" / "again").hardlink_to(tmp_path / "deep" / "er" / "file")
    (tmp_path / "deep" / "link").symlink_to("/usr")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(10**9)
    told = subprocess.run(["du", "-s", "-B1", tmp_path], capture_output=True, text=True, check=True).stdout
    assert directory_bytes(str(tmp_path), 60) == int(told.split()[0])
    found = by_kind(sample_host(HostSampling(directories=(f"{tmp_path}/*",))))
    assert {path for kind, path in found if kind == "directory"} == {f"{tmp_path}/deep"}


def test_what_cannot_be_counted_whole_is_not_counted(tmp_path, monkeypatch):
    (tmp_path / "shut").mkdir()
    scan = os.scandir

    def closed(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(IncompleteError, match="1 folders or files in it may not be read; sudo du"):
        directory_bytes(str(tmp_path), 60)
    with pytest.raises(IncompleteError, match="not counted to its end in time"):
        directory_bytes(str(tmp_path), -1)
    found = sample_host(HostSampling(directories=(str(tmp_path), f"{tmp_path}/no-*")))
    assert [(check.verdict, check.target.partition(":")[2]) for check in found.checks] == [
        (Verdict.SKIP, str(tmp_path)), (Verdict.SKIP, f"{tmp_path}/no-*"),
    ]  # fmt: skip
    assert [one for one in found.samples if one.kind == "directory"] == []
    assert [one for one in found.samples if one.kind == "filesystem"]
