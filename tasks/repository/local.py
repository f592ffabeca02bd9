"""A repository in a local folder: atomic, fsynced, for its owner only."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from tasks.base.errors import ConfigurationError, MissingError, NightshiftError, RefusedError
from tasks.repository.store import ByteSink, ByteSource, DiskSpace, StoredObject

_TEMPORARY = ".unfinished-"
_TRIES = 5
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalStore:
    """The store protocol on a folder. A file appears under its key by an atomic rename, after its bytes are on disk."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.url = f"file://{folder}"

    @contextmanager
    def writing(self, key: str) -> Iterator[ByteSink]:
        """A streaming write, see Store.writing."""
        with self._committing(key, os.replace) as sink:
            yield sink

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object whole, see Store.put."""
        with self._committing(key, os.link if only_if_absent else os.replace) as sink:
            sink.write(data)

    def writes_once(self, key: str) -> bool:
        """A second hard link to one name is refused by the kernel; see Store.writes_once."""
        try:
            self.put(key, b"second", only_if_absent=True)
        except RefusedError:
            return self.get(key) != b"second"
        return False

    def get(self, key: str) -> bytes:
        """All bytes of a small object, see Store.get."""
        with self.reading(key) as source:
            return source.read()

    @contextmanager
    def reading(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[ByteSource]:
        """A streaming read, see Store.reading."""
        with self._translated("read", key):
            file = cast(BinaryIO, self._path(key).open("rb", buffering=0))
        with file:
            file.seek(offset)
            yield _Source(file, self, key, length)

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object, see Store.stat."""
        with self._translated("read", key):
            return _stored(key, self._path(key).stat())

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix in key order, see Store.list."""
        found = []
        for path in self._files(prefix):
            key = path.relative_to(self.folder).as_posix()
            if key.startswith(prefix) and key > after and not path.name.startswith(_TEMPORARY):
                with suppress(FileNotFoundError):
                    status = path.stat()
                    # A named pipe among the files would be waited at for ever.
                    if stat.S_ISREG(status.st_mode):
                        found.append(_stored(key, status))
        yield from sorted(found, key=lambda stored: stored.key)

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders below a prefix, see Store.folders."""
        try:
            with os.scandir(self._path(prefix.rstrip("/"))) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.refuse("list", prefix, error)

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that it leaves empty; see Store.delete."""
        path = self._path(key)
        with self._translated("delete", key), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            # What is deleted next must not be gone before this one is, whatever happens to the power.
            _sync_folder(path.parent)
            _remove_empty(path.parent, self.folder)

    def is_locked(self, key: str) -> bool:  # noqa: ARG002 - the protocol's
        """A folder knows no object lock."""
        return False

    def disk_space(self) -> DiskSpace | None:
        """The folder's disk, or that of the folder that it will be made in."""
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        return DiskSpace(free_bytes=usage.free, total_bytes=usage.total)

    def abort_stale_uploads(self, prefix: str, older_than: datetime) -> Sequence[str]:
        """Remove temporary files of killed writers that are older; return their names."""
        removed = []
        for path in self._files(prefix):
            if path.name.startswith(_TEMPORARY):
                with self._translated("sweep", prefix), suppress(FileNotFoundError):
                    if datetime.fromtimestamp(path.stat().st_mtime, UTC) < older_than:
                        path.unlink()
                        removed.append(path.relative_to(self.folder).as_posix())
                        _remove_empty(path.parent, self.folder)
        return removed

    @contextmanager
    def _committing(self, key: str, commit: Callable[[Path, Path], None]) -> Iterator[ByteSink]:
        """A temporary file beside its place, which `commit` gives its name once its bytes are on disk."""
        path = self._path(key)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            with self._translated("write", key):
                file = self._create(temporary)
            with file:
                yield _Sink(file, self, key)
                with self._translated("write", key):
                    os.fsync(file.fileno())
            with self._translated("write", key):
                commit(temporary, path)
                _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _create(self, path: Path) -> BinaryIO:
        # Who deletes the last file of a folder removes the folder too, perhaps at this moment.
        for _ in range(_TRIES):
            self._make_folder(path.parent)
            with suppress(FileNotFoundError):
                return _open_new(path)
        return _open_new(path)

    def _files(self, prefix: str) -> Iterator[Path]:
        """All files below the folder that a prefix names, and there only in folders that may have it."""

        def stop(error: OSError) -> None:
            # A folder that cannot be read hides backups; one that has just gone, or never was, does not.
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                self.refuse("list", prefix or "all", error)

        parent, _, beginning = prefix.rpartition("/")
        for folder, below, names in os.walk(self._path(parent), onerror=stop):
            below[:] = [name for name in below if name.startswith(beginning)]
            beginning = ""
            yield from (Path(folder, name) for name in names)

    def _make_folder(self, folder: Path) -> None:
        """Make the folders of a key, mode 0700, each made durable in its parent."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _sync_folder(folder.parent)

    def _path(self, key: str) -> Path:
        if key and any(part in ("", ".", "..") for part in key.split("/")):
            raise ConfigurationError(f"'{key}' is no key of a repository: it leaves {self.url} or has an empty part")
        return self.folder / key

    @contextmanager
    def _translated(self, what: str, key: str) -> Iterator[None]:
        """Errors of the operating system as one sentence of ours."""
        try:
            yield
        except NightshiftError:
            raise
        except OSError as error:
            self.refuse(what, key, error)

    def refuse(self, what: str, key: str, error: OSError) -> NoReturn:
        """Raise what the operating system said as one sentence of ours."""
        if what == "read" and isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            raise MissingError(f"object {key} is missing in {self.url}") from None
        if isinstance(error, FileExistsError):
            raise RefusedError(f"{key} exists already in {self.url} and is never overwritten") from None
        remedy = "free space on its disk" if error.errno in _FULL else "look at the folder and this user's right to it"
        raise RefusedError(f"cannot {what} {key} in {self.url}: {error.strerror}; {remedy}") from None


class _Sink:
    """A file that takes all of the bytes."""

    def __init__(self, file: BinaryIO, store: LocalStore, key: str) -> None:
        self._file, self._store, self._key = file, store, key

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._store.refuse("write", self._key, error)
        return len(data)


class _Source:
    """A file from where it stands, to its end or for `length` bytes."""

    def __init__(self, file: BinaryIO, store: LocalStore, key: str, length: int | None) -> None:
        self._file, self._store, self._key, self._left = file, store, key, length

    def read(self, size: int = -1) -> bytes:
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        try:
            data = self._file.read(size)
        except OSError as error:
            self._store.refuse("read on in", self._key, error)
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _stored(key: str, found: os.stat_result) -> StoredObject:
    return StoredObject(key=key, size_bytes=found.st_size, modified_at=datetime.fromtimestamp(found.st_mtime, UTC))


def _open_new(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return cast(BinaryIO, os.fdopen(descriptor, "wb", buffering=0))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
