"""What only a repository in a local folder can promise: rights, durability, full disks."""

import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.base.clock import utc_now
from tasks.base.errors import RefusedError
from tasks.repository.local import LocalStore


def keys(store):
    return [item.key for item in store.list()]


def test_files_are_for_their_owner_only_and_deleting_leaves_no_empty_folder(tmp_path):
    store = LocalStore(str(tmp_path / "new" / "repository"))
    former = os.umask(0)
    try:
        store.put("a/b/c", b"data")
    finally:
        os.umask(former)
    file = tmp_path / "new" / "repository" / "a" / "b" / "c"
    assert file.stat().st_mode & 0o777 == 0o600
    assert {parent.stat().st_mode & 0o777 for parent in list(file.parents)[:4]} == {0o700}
    store.delete("a/b/c")
    assert list((tmp_path / "new" / "repository").iterdir()) == []


def test_a_temporary_file_is_swept_when_it_is_old(tmp_path):
    store = LocalStore(str(tmp_path))
    killed = "import os, sys; from tasks.repository.local import LocalStore\n"
    killed += "with LocalStore(sys.argv[1]).writing('s/d/object') as sink: sink.write(b'half'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False, timeout=60)
    assert keys(store) == []
    assert list(store.abort_stale_uploads("s/", utc_now() - timedelta(hours=1))) == []
    assert len(list((tmp_path / "s" / "d").iterdir())) == 1
    assert len(store.abort_stale_uploads("s/", utc_now() + timedelta(seconds=1))) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_or_read_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    below = LocalStore(str(tmp_path / "file" / "repository"))
    with pytest.raises(RefusedError, match=r"cannot write key in file://.*: Not a directory; look at the folder"):
        below.put("key", b"")
    assert keys(below) == []
    if os.geteuid() != 0:
        Path(tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(RefusedError, match=r"cannot write key in .*: Permission denied; look at the folder"):
            LocalStore(str(tmp_path / "closed")).put("key", b"")
        Path(tmp_path / "hidden").mkdir(mode=0)
        with pytest.raises(RefusedError, match=r"cannot list all in .*: Permission denied"):
            keys(LocalStore(str(tmp_path / "hidden")))


@pytest.mark.parametrize("how", ["put", "writing"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, how):
    # A limit on the size of files stands for the disk: the kernel answers a write in the same way, without a mount.
    script = f"""
import resource, signal, sys
from tasks.repository.local import LocalStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))
store = LocalStore(sys.argv[1])
try:
    if {how == "put"}:
        store.put("a/object", bytes(3000000))
    else:
        with store.writing("a/object") as sink:
            for _ in range(3):
                sink.write(bytes(1000000))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert "RefusedError cannot write a/object in file://" in done.stdout, done.stderr
    assert "File too large; free space on its disk" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_space_left_is_said_in_the_same_words(tmp_path, monkeypatch):
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("tasks.repository.local._open_new", lambda path: full)
        with pytest.raises(RefusedError, match="No space left on device; free space on its disk"):
            LocalStore(str(tmp_path)).put("key", b"data")


def test_the_disk_behind_a_folder_is_known_before_the_folder_is(tmp_path):
    space = LocalStore(str(tmp_path / "not" / "yet")).disk_space()
    assert space is not None
    assert 0 < space.free_share < 1


def test_of_two_that_write_once_at_a_time_one_wins(tmp_path):
    store = LocalStore(str(tmp_path))
    for attempt in range(5):
        gate, won = threading.Barrier(6), []

        def write(name, key=f"manifest{attempt}", gate=gate, won=won):
            gate.wait()
            try:
                store.put(key, name, only_if_absent=True)
            except RefusedError:
                return
            won.append(name)

        threads = [threading.Thread(target=write, args=(b"writer %d" % number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [store.get(f"manifest{attempt}")]
