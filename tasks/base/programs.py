"""Running programs through `sh`, with its traps closed.

Absolute path, argument list, no terminal, output to a file or descriptor, bounded tail of stderr, an own deadline,
TERM then KILL to the whole process group, secrets masked. Sources of the traps: FACTS of the design, sh 2.4.
"""

import contextlib
import fcntl
import io
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import psutil
import sh
from pydantic import Field

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, NightshiftError, ToolFailedError
from tasks.base.run import child_environment
from tasks.base.words import Frozen

# sh logs whole command lines at INFO; a command line may name what is nobody's business.
logging.getLogger("sh").setLevel(logging.WARNING)

_NOWHERE = Path(os.devnull)
_PIPE_BYTES = 1024 * 1024
_TAIL_BYTES = 64 * 1024
_GRACE_SECONDS = 3.0
_POLL_SECONDS = 0.02
Stream = IO[bytes] | int | None


class Program(Frozen):
    """A program to run."""

    arguments: tuple[str, ...] = Field(min_length=1, description="The absolute path, then the arguments")
    environment: dict[str, str] = Field(default_factory=dict, description="Added to this process's environment")
    ok_codes: tuple[int, ...] = Field(default=(0,), description="Exit codes that mean success")
    deadline_seconds: float = Field(gt=0, description="Ended after this long, in seconds")
    cwd: Path | None = None
    run_as: int | None = Field(default=None, description="User id (and group id) to run as; needs root")

    @property
    def name(self) -> str:
        """The program's file name."""
        return Path(self.arguments[0]).name


class Finished(Frozen):
    """How a program ended."""

    exit_code: int
    stderr_tail: str
    duration_seconds: float


def run(program: Program, *, stdin: Stream = None, stdout: Stream = None) -> Finished:
    """Run to the end. Raises ToolFailedError (exit code not allowed, deadline), StoppedError, ConfigurationError."""
    with _started(program, stdin, stdout) as child:
        return child.finish()


def output_of(program: Program, limit_bytes: int = 4 * 1024 * 1024) -> str:
    """What the program printed, as text. Raises ToolFailedError also when it printed more than the limit."""
    with reading_from(program) as pipe:
        data = bytearray()
        while chunk := pipe.read(_PIPE_BYTES):
            data += chunk
            if len(data) > limit_bytes:
                raise ToolFailedError(f"{program.name} printed more than {limit_bytes} bytes")
    return data.decode(errors="replace")


@contextmanager
def reading_from(program: Program) -> Iterator[BinaryIO]:
    """The program's output as an unbuffered pipe. Leaving the block well waits for the program and checks its code."""
    read_end, write_end = _pipe()
    with os.fdopen(read_end, "rb", buffering=0) as pipe, _started(program, None, write_end, close=write_end) as child:
        yield cast(BinaryIO, pipe)
        child.finish()


@contextmanager
def writing_to(program: Program, stdout: Stream = None) -> Iterator[BinaryIO]:
    """The program's input as an unbuffered pipe. A program that ends early and well is no error."""
    read_end, write_end = _pipe()
    with (
        os.fdopen(write_end, "wb", buffering=0) as pipe,
        _started(program, read_end, stdout, close=read_end) as child,
    ):
        yield cast(BinaryIO, pipe)
        pipe.close()
        child.finish()


class _Child:
    """One running program: its group, its stderr, its end."""

    def __init__(self, program: Program, command: Any, tail: "_Tail") -> None:
        self.program = program
        self.command = command
        self.tail = tail
        self.elapsed = stopwatch()

    def end_group(self) -> None:
        """TERM to the whole group, wait, KILL; safe to call again."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _signal_group(self.command.pid, number):
                return
            waited = stopwatch()
            while waited() < _GRACE_SECONDS and _group_alive(self.command.pid):
                threading.Event().wait(_POLL_SECONDS)

    def finish(self) -> Finished:
        """Wait for the end, within the deadline, and judge the exit code."""
        while self.command.is_alive():
            stopping.raise_if_stopped()
            if self.elapsed() > self.program.deadline_seconds:
                self.end_group()
                raise ToolFailedError(
                    f"{self.program.name} did not end within {self.program.deadline_seconds:.0f} s and was ended; "
                    "raise its deadline or look at what it waited for",
                    retryable=True,
                )
            threading.Event().wait(_POLL_SECONDS)
        code = self.exit_code()
        self.end_group()
        text = self.tail.text()
        if code not in self.program.ok_codes:
            stopping.raise_if_stopped()
            raise ToolFailedError(f"{self.program.name} ended with exit code {code}: {_last_lines(text)}")
        return Finished(exit_code=code, stderr_tail=text, duration_seconds=self.elapsed())

    def exit_code(self) -> int:
        """The exit code, negative for a signal; sh raises for most codes, and its exception holds all arguments."""
        with contextlib.suppress(sh.ErrorReturnCode, sh.SignalException):
            self.command.wait()
        return int(self.command.process.exit_code)


@contextmanager
def _started(program: Program, stdin: Stream, stdout: Stream, close: int | None = None) -> Iterator[_Child]:
    """A running program, registered with `stopping`; its whole group is gone when the block is left."""
    tail = _Tail()
    try:
        with _NOWHERE.open("rb") as nothing, _NOWHERE.open("wb") as discarded:
            command = _command(program)(
                *program.arguments[1:],
                _in=nothing if stdin is None else stdin,
                _out=discarded if stdout is None else stdout,
                _err=tail.write_end,
                _env={**os.environ, **child_environment(), **program.environment},
                _cwd=str(program.cwd) if program.cwd else None,
                _preexec_fn=_dropper(program.run_as),
                _bg=True,
                _bg_exc=False,
                _new_session=False,
                _new_group=True,
                _tty_in=False,
                _tty_out=False,
                _return_cmd=True,
                _no_out=True,
                _no_err=True,
                _no_pipe=True,
                _ok_code=list(range(256)),
            )
    finally:
        tail.close_write_end()
        if close is not None:
            os.close(close)
    child = _Child(program, command, tail)
    try:
        with stopping.on_stop(child.end_group):
            yield child
    except BaseException as error:
        failed = "" if isinstance(error, NightshiftError) else _failed_first(child)
        child.end_group()
        stopping.raise_if_stopped()
        if failed:
            raise ToolFailedError(failed) from None
        raise
    finally:
        child.end_group()
        child.exit_code()
        tail.close()


def _failed_first(child: _Child) -> str:
    """The program's own failure, when it failed before the body of its block did; a broken pipe is but its echo."""
    threading.Event().wait(_POLL_SECONDS * 2)
    if child.command.is_alive():
        return ""
    code = child.exit_code()
    if code in child.program.ok_codes or code == -signal.SIGPIPE:
        return ""
    return f"{child.program.name} ended with exit code {code}: {_last_lines(child.tail.text())}"


def _command(program: Program) -> Any:
    path = Path(program.arguments[0])
    if not path.is_absolute() or not os.access(path, os.X_OK):
        raise ConfigurationError(f"{path} is no program that can be run by its absolute path; install it")
    return sh.Command(str(path))


def _dropper(uid: int | None) -> Any:
    def drop() -> None:
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)

    return drop


class _Tail:
    """The last 64 KiB of a stderr, drained by an own thread so that a flood blocks nobody."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.data = bytearray()
        self.thread = threading.Thread(target=self._drain, daemon=True)
        self.thread.start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self.read_end, 65536):
                self.data = (self.data + chunk)[-_TAIL_BYTES:]

    def close_write_end(self) -> None:
        """The parent's copy must go, or the end of the stream is never seen."""
        os.close(self.write_end)

    def text(self) -> str:
        """What was kept, once the writer is gone."""
        self.thread.join(timeout=2)
        return bytes(self.data).decode(errors="replace")

    def close(self) -> None:
        """Release the pipe."""
        self.thread.join(timeout=2)
        os.close(self.read_end)


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    # An unprivileged user may be over its share of pipe pages; the default size works too, only slower.
    with contextlib.suppress(OSError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read_end, write_end


def _signal_group(group: int, number: int) -> bool:
    """Signal the group; False when there is nobody left in it."""
    if not _group_alive(group):
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _group_alive(group: int) -> bool:
    """True while a process of the group is more than a zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in io.StringIO(text) if line.strip()]
    return " / ".join(lines[-5:]) or "it said nothing"
