"""Files of a host below a root folder: links stay inside it, what may not be read is remembered and never guessed."""

import getpass
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tasks.base.errors import RefusedError

_LINKS = 40
_LARGEST_BYTES = 64 * 1024**2


class Root:
    """The root folder of a host, and the gaps that reading it has left."""

    def __init__(self, folder: Path) -> None:
        """Raises RefusedError when there is no such folder."""
        if not folder.is_dir():
            raise RefusedError(f"there is no folder {folder}; correct the root of this host, or mount it")
        self._folder = folder
        self.gaps: list[str] = []

    def read(self, path: str) -> bytes | None:
        """All bytes of a regular file; None when there is none, or when it may not be read (then there is a gap)."""
        try:
            place = self._place(path)
            found = place.stat()
            if not stat.S_ISREG(found.st_mode):
                return None
            if found.st_size > _LARGEST_BYTES:
                self.miss(f"{path} is larger than {_LARGEST_BYTES} bytes; look at it by hand")
                return None
            return place.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._refused(path, error)
            return None

    def parts(self, path: str, offsets: Sequence[int], size: int) -> list[bytes] | None:
        """Pieces of a file, shorter behind its end; None as in `read`. For files that are mostly holes, of any size."""
        try:
            with self._place(path).open("rb") as file:
                return [os.pread(file.fileno(), size, offset) for offset in offsets]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._refused(path, error)
            return None

    def text(self, path: str) -> str | None:
        """The same as text; bytes that are no UTF-8 stay visible as such."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "backslashreplace")

    def status(self, path: str) -> os.stat_result | None:
        """Mode, owner and times of a file or of what it links to; None as in `read`."""
        try:
            return self._place(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._refused(path, error)
            return None

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; empty as in `read`."""
        try:
            return sorted(os.listdir(self._place(folder)))  # noqa: PTH208 - names only, no paths of this machine
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._refused(folder, error)
            return []

    def matching(self, pattern: str) -> list[str]:
        """The files that a pattern of names fits (`*`, `?`, `[…]`, within one folder each), sorted."""
        places = ["/"]
        for part in PurePosixPath(pattern).parts[1:]:
            if any(sign in part for sign in "*?["):
                places = [
                    str(PurePosixPath(place, name))
                    for place in places
                    for name in self.names(place)
                    if PurePosixPath(name).match(part) and (part.startswith(".") or not name.startswith("."))
                ]
            else:
                places = [str(PurePosixPath(place, part)) for place in places]
        return sorted(place for place in places if self._is_file(place))

    def miss(self, reason: str) -> None:
        """Remember what could not be known, once."""
        if reason not in self.gaps:
            self.gaps.append(reason)

    def _is_file(self, path: str) -> bool:
        found = self.status(path)
        return found is not None and stat.S_ISREG(found.st_mode)

    def _refused(self, path: str, error: OSError) -> None:
        self.miss(f"{path} cannot be read: {error.strerror}; let the run of {_user()} have that right, or run as root")

    def _place(self, path: str) -> Path:
        """The path inside the root, links followed as the host itself would: an absolute one begins at its root."""
        done, waiting, links = PurePosixPath("/"), list(PurePosixPath(path).parts[1:]), 0
        while waiting:
            part = waiting.pop(0)
            if part == "..":
                done = done.parent
                continue
            here = self._folder.joinpath(*done.parts[1:], part)
            if not here.is_symlink():
                done /= part
                continue
            links += 1
            if links > _LINKS:
                raise OSError(40, "too many links")
            target = PurePosixPath(here.readlink())
            if target.is_absolute():
                done = PurePosixPath("/")
            waiting[:0] = [one for one in target.parts if one != "/"]
        return self._folder.joinpath(*done.parts[1:])


def _user() -> str:
    try:
        return f"'{getpass.getuser()}'"
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
