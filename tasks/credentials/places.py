"""Where the password of a role is kept: a file, an entry of one, a Prefect Secret block, or behind a program."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.base.credentials import Credential
from tasks.base.errors import ConfigurationError, IncompleteError, NightshiftError, RefusedError, UnreachableError
from tasks.base.password_places import BlockPlace, EnvironmentFilePlace, PassfilePlace, ProgramPlace, SecretPlace
from tasks.base.programs import Program, output_of
from tasks.base.secrets import block_value, brought_along, remember
from tasks.base.security import place_of
from tasks.credentials import environment_file, files, passfile
from tasks.credentials.command import ALL_CODES, check_program, run_with_secret


def place_of_password(system: str, credential: Credential) -> SecretPlace:
    """The place of a role's password. Raises ConfigurationError for a path that has no meaning here."""
    place = credential.place
    assert place is not None
    assert credential.role is not None
    suffix = f"{system}-{credential.name}.nightshift-new"
    if isinstance(place, BlockPlace):
        return _Block(place.reference.removeprefix("secret:"))
    if isinstance(place, ProgramPlace):
        return _Behind(place, place_of(place.staging) / f".{suffix}")
    path = place_of(place.path)
    staged = path.with_name(f".{path.name}.{suffix}")
    if isinstance(place, PassfilePlace):
        entry = passfile.entry_of(place.host, place.port, place.dbname, credential.role)
        return _File(
            path,
            staged,
            lambda text: passfile.password_in(text, entry),
            lambda text, password: passfile.with_password(text, entry, password),
            owner_only=True,
        )
    if isinstance(place, EnvironmentFilePlace):
        variable, template = place.variable, place.template
        return _File(
            path,
            staged,
            lambda text: environment_file.password_in(text, variable, template),
            lambda text, password: environment_file.with_password(text, variable, template, password),
        )
    return _File(path, staged, lambda text: text.strip() or None, lambda _, password: f"{password}\n")


class _Staged:
    """The next password in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path, self.staged_at, self.staged_reference = path, str(path), f"file:{path}"

    def staged(self) -> str | None:
        text = files.read(self._path)
        return remember(text.strip()) if text and text.strip() else None

    def stage(self, password: str) -> None:
        files.replace(self._path, password, owner_only=True)

    def unstage(self) -> None:
        files.remove(self._path)


class _File(_Staged):
    """A file, or one entry of it."""

    readable = True

    def __init__(
        self,
        path: Path,
        staged: Path,
        password_in: Callable[[str], str | None],
        with_password: Callable[[str, str], str],
        *,
        owner_only: bool = False,
    ) -> None:
        super().__init__(staged)
        self._file, self._password_in, self._with_password = path, password_in, with_password
        self._owner_only, self.what = owner_only, str(path)

    def check(self) -> None:
        files.check_writable(self._file)
        self.read()

    def read(self) -> str | None:
        with _named(self.what):
            found = self._password_in(files.read(self._file) or "")
        return remember(found) if found else None

    def write(self, password: str) -> None:
        with files.editing(self._file), _named(self.what):
            text = self._with_password(files.read(self._file) or "", password)
            files.replace(self._file, text, owner_only=self._owner_only)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """The editors know no file: its name is put before what they say."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{what}: {error}") from None


class _Behind(_Staged):
    """Whatever a program reaches: a vault, a Kubernetes Secret."""

    def __init__(self, place: ProgramPlace, staged: Path) -> None:
        super().__init__(staged)
        self._place, self.what = place, f"what {Path(place.write[0]).name} writes"
        self.readable = bool(place.read)

    def check(self) -> None:
        files.check_writable(self._path)
        for arguments in (self._place.write, self._place.read):
            if arguments:
                check_program(arguments)

    def read(self) -> str | None:
        if not self._place.read:
            return None
        try:
            program = self._program(self._place.read).model_copy(update={"ok_codes": (0,)})
            return remember(output_of(program).strip()) or None
        except NightshiftError:
            raise IncompleteError(f"{self._place.read[0]} did not tell what is kept; run it by hand") from None

    def write(self, password: str) -> None:
        program = self._program(self._place.write)
        ended = run_with_secret(program, password)
        if ended.exit_code != 0:
            raise RefusedError(
                f"{program.name} ended with exit code {ended.exit_code} instead of keeping the password; what it said "
                "is not shown, for it may hold a secret: run it by hand"
            )

    def _program(self, arguments: tuple[str, ...]) -> Program:
        path = str(place_of(arguments[0]))
        return Program(
            arguments=(path, *arguments[1:]), ok_codes=ALL_CODES, deadline_seconds=self._place.deadline_seconds
        )


class _Block:
    """A Prefect Secret block; the next password is in a second one."""

    readable = True

    def __init__(self, name: str) -> None:
        self._name, self._staged = name, f"{name}-nightshift-new"
        self.what, self.staged_at = f"Secret block {name}", f"Secret block {self._staged}"
        self.staged_reference = f"secret:{self._staged}"

    def check(self) -> None:
        if brought_along(self._name):
            raise RefusedError(
                f"{self.what} cannot be written by a run with a Prefect of its own; start the flow as a deployment run"
            )
        self.read()

    def read(self) -> str | None:
        return _block(self._name)

    def write(self, password: str) -> None:
        _save(self._name, password)

    def staged(self) -> str | None:
        return _block(self._staged)

    def stage(self, password: str) -> None:
        _save(self._staged, password)

    def unstage(self) -> None:
        from prefect.blocks.system import Secret  # noqa: PLC0415 - only who uses a block pays for Prefect

        if self.staged() is not None:
            with _answering(self._staged):
                Secret.delete(self._staged, _sync=True)  # type: ignore[call-arg]


def _block(name: str) -> str | None:
    try:
        return remember(block_value(name))
    except ValueError:
        return None
    except OSError:
        raise UnreachableError(f"the Prefect server was asked for Secret block {name} in vain; start it") from None


def _save(name: str, password: str) -> None:
    from prefect.blocks.system import Secret  # noqa: PLC0415

    with _answering(name):
        saved: Any = Secret(value=password)
        saved.save(name, overwrite=True, _sync=True)


@contextmanager
def _answering(name: str) -> Iterator[None]:
    import httpx  # noqa: PLC0415
    from prefect.exceptions import PrefectException  # noqa: PLC0415

    try:
        yield
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise UnreachableError(
            f"the Prefect server did not take Secret block {name} ({type(error).__name__}); look whether it runs"
        ) from None
