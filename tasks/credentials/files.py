"""Files that hold secrets: read whole, replaced whole, for their owner only."""

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from tasks.base.errors import RefusedError

_OWNER_ONLY = 0o600
# A file that a group may read stays so: the group may be the application.
_KEPT_BITS = 0o640
# What stands in the name of a file that is being written, and the pattern of it.
_RANDOM_BYTES = 4
_RANDOM = "[0-9a-f]" * 2 * _RANDOM_BYTES


def read(path: Path) -> str | None:
    """The text, bytes that are no UTF-8 escaped; None when there is no such file. Raises RefusedError."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse("read", path, error)


def replace(path: Path, text: str, *, owner_only: bool = False) -> None:
    """Give the file this text, all of it or none; owner and group stay, and what the group may read.

    A link stays a link. What a killed run had begun to write is removed first, for it holds secrets: so only one at a
    time may replace a file. Raises RefusedError: no space, no right, a read-only disk; the old file is then untouched.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(_RANDOM_BYTES)}.unfinished")
    try:
        for left in target.parent.glob(f".{glob.escape(target.name)}.{_RANDOM}.unfinished"):
            left.unlink(missing_ok=True)
        _write_new(temporary, text.encode(errors="surrogateescape"), _model(target), owner_only=owner_only)
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        _refuse("write", path, error)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove it durably; a missing one is no error. Raises RefusedError."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        _refuse("remove", path, error)


@contextmanager
def editing(path: Path) -> Iterator[None]:
    """Of Nightshift's runs on this host only one is in this block for files of that folder."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        _refuse("open the folder of", path, error)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def check_writable(path: Path) -> None:
    """Raise RefusedError when it is seen that the file's folder takes no new file from this user."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise RefusedError(f"cannot write {path}: there is no folder {folder}; make it, or correct the system file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RefusedError(f"cannot write {path}: this user may not write into {folder}; give it the right")


def sync_folder(folder: Path) -> None:
    """Make names that were given or taken in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _model(target: Path) -> os.stat_result | None:
    """Owner, group and rights of the file that is replaced."""
    with suppress(FileNotFoundError):
        return target.stat()
    return None


def _write_new(path: Path, data: bytes, model: os.stat_result | None, *, owner_only: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        if model is not None:
            if (model.st_uid, model.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), model.st_uid, model.st_gid)
            if not owner_only:
                os.fchmod(file.fileno(), model.st_mode & _KEPT_BITS)
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _refuse(what: str, path: Path, error: OSError) -> NoReturn:
    raise RefusedError(
        f"cannot {what} {path}: {error.strerror}; look at its disk, its folder and this user's right to them"
    ) from None
