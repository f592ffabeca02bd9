"""A repository in a local folder: atomic, fsynced, for its owner only."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from tasks.base.errors import ConfigurationError, MissingError, RefusedError
from tasks.repository.store import ByteSink, ByteSource, StoredObject

_TEMPORARY = ".unfinished-"


class LocalStore:
    """The store protocol on a folder. A file appears under its key by an atomic rename, after its bytes are on disk."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.url = f"file://{folder}"

    @contextmanager
    def writing(self, key: str) -> Iterator[ByteSink]:
        """A streaming write, see Store.writing."""
        path = self._path(key)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}-{path.name}")
        try:
            self._make_folder(path.parent)
            with _create(temporary) as file:
                yield cast(ByteSink, _Sink(file, self, key))
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            self._refused("write", key, error)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object whole, see Store.put."""
        path = self._path(key)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}-{path.name}")
        try:
            self._make_folder(path.parent)
            with _create(temporary) as file:
                _Sink(file, self, key).write(data)
                os.fsync(file.fileno())
            if only_if_absent:
                os.link(temporary, path)
            else:
                temporary.replace(path)
            _sync_folder(path.parent)
        except FileExistsError:
            raise RefusedError(f"{key} exists already in {self.url} and is never overwritten") from None
        except OSError as error:
            self._refused("write", key, error)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        """All bytes of a small object, see Store.get."""
        with self.reading(key) as source:
            return source.read()

    @contextmanager
    def reading(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[ByteSource]:
        """A streaming read, see Store.reading."""
        try:
            file = self._path(key).open("rb", buffering=0)
        except OSError as error:
            self._refused("read", key, error)
        with file:
            file.seek(offset)
            yield cast(ByteSource, file if length is None else _Range(cast(BinaryIO, file), length))

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object, see Store.stat."""
        try:
            return self._stored(key, self._path(key).stat())
        except OSError as error:
            self._refused("read", key, error)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix in key order, see Store.list."""
        start = self._path(prefix) if prefix else self.folder
        below = start if start.is_dir() else start.parent
        found = []
        for folder, _, names in os.walk(below):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.folder).as_posix()
                if key.startswith(prefix) and not name.startswith(_TEMPORARY):
                    with suppress(FileNotFoundError):
                        found.append(self._stored(key, path.stat()))
        yield from sorted(found, key=lambda stored: stored.key)

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that it leaves empty; see Store.delete."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, self.folder)
        except OSError as error:
            self._refused("delete", key, error)

    def is_locked(self, key: str) -> bool:  # noqa: ARG002 - the protocol's
        """A folder knows no object lock."""
        return False

    def free_bytes(self) -> int | None:
        """Free space of the folder's disk."""
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def abort_stale_uploads(self, prefix: str, older_than: datetime) -> Sequence[str]:
        """Remove temporary files of killed writers that are older; return their names."""
        removed = []
        for path in self._path(prefix).rglob(f"{_TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < older_than:
                    path.unlink()
                    removed.append(path.relative_to(self.folder).as_posix())
        return removed

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if key.startswith("/") or any(part in ("..", ".") for part in parts):
            raise ConfigurationError(f"'{key}' is no key of a repository: it leaves {self.url}")
        return self.folder / key

    def _make_folder(self, folder: Path) -> None:
        """Make the folders of a key, mode 0700, each made durable in its parent."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _sync_folder(folder.parent)

    def _stored(self, key: str, found: os.stat_result) -> StoredObject:
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return StoredObject(key=key, size_bytes=found.st_size, modified_at=modified)

    def _refused(self, what: str, key: str, error: OSError) -> NoReturn:
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) and what == "read":
            raise MissingError(f"object {key} is missing in {self.url}") from None
        raise RefusedError(
            f"cannot {what} {key} in {self.url}: {error.strerror}; free space, or give this user the right"
        ) from None


class _Sink:
    """A file that takes all of the bytes; a full disk is named as such."""

    def __init__(self, file: BinaryIO, store: LocalStore, key: str) -> None:
        self._file, self._store, self._key = file, store, key

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._store._refused("write", self._key, error)
        return len(data)


class _Range:
    """The first bytes of a file from where it stands."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left = file, length

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _create(path: Path) -> BinaryIO:
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
