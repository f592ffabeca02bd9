"""Modes and owners of files that hold secrets: what the system file names, private keys, key files of sshd."""

import stat
from collections.abc import Iterable, Iterator, Mapping
from os import stat_result

from tasks.base.access import HostAccess, SecretFiles
from tasks.host import ssh_keys
from tasks.host.root import Root
from tasks.host.ssh_keys import KeyFile

_OTHERS_READ, _OTHERS_WRITE = 0o077, 0o022
# Red Hat lets a group of its own read them, for ssh-keysign.
_HOST_KEY = 0o037


def check(
    root: Root, host: HostAccess, names: Mapping[int, str], files: Iterable[KeyFile]
) -> Iterator[tuple[str, str, str]]:
    """Rule, path and detail of every file that others may read or write, and of keys without a passphrase.

    `names` are the host's own accounts by uid: a mounted root has other ones than the machine that reads it.
    """
    for secrets in host.secrets:
        for path, status in _named(root, secrets.path):
            yield from _secret(path, status, secrets, names)
    for path in (one for pattern in host.private_keys for one, _ in _named(root, pattern)):
        yield from _private_key(root, path)
    for path in root.matching("/etc/ssh/ssh_host_*_key"):
        found = root.status(path)
        if found is not None and found.st_mode & _HOST_KEY:
            yield "ssh-host-key-readable", path, _mode(found)
    for file in files:
        found = root.status(file.path)
        if found is not None and (found.st_mode & _OTHERS_WRITE or found.st_uid not in (0, file.account.uid)):
            yield "ssh-keys-writable", file.path, f"{_mode(found)}, owner {_owner(found, names)}"


def _named(root: Root, pattern: str) -> list[tuple[str, stat_result]]:
    """The files of a pattern; none is a gap, for somebody thought that there are some."""
    before = len(root.gaps)
    paths = root.matching(pattern)
    if not paths and len(root.gaps) == before:
        root.miss(f"no file fits {pattern}; correct it, or take it out of the system file")
    return [(path, status) for path in paths if (status := root.status(path)) is not None]


def _secret(
    path: str, status: stat_result, wanted: SecretFiles, names: Mapping[int, str]
) -> Iterator[tuple[str, str, str]]:
    if stat.S_IMODE(status.st_mode) & ~int(wanted.mode, 8):
        yield "secret-mode", path, f"{_mode(status)}, at most {int(wanted.mode, 8):04o} is wanted"
    if wanted.owner is not None and _owner(status, names) != wanted.owner:
        yield "secret-owner", path, f"{_owner(status, names)}, {wanted.owner} is wanted"


def _private_key(root: Root, path: str) -> Iterator[tuple[str, str, str]]:
    data, status = root.read(path), root.status(path)
    if data is None or status is None or not ssh_keys.is_private_key(data):
        return
    if not ssh_keys.has_passphrase(data):
        yield "private-key-without-passphrase", path, ""
    if status.st_mode & _OTHERS_READ:
        yield "private-key-readable", path, _mode(status)


def _owner(status: stat_result, names: Mapping[int, str]) -> str:
    return names.get(status.st_uid, str(status.st_uid))


def _mode(status: stat_result) -> str:
    return f"mode {stat.S_IMODE(status.st_mode):04o}"
