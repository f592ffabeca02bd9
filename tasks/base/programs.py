"""Running programs through `sh`, with its traps closed.

Absolute path, argument list, no terminal, output to a file or descriptor, bounded tail of stderr, an own deadline,
TERM then KILL to the whole process group, secrets masked. Sources of the traps: FACTS of the design, sh 2.4.
"""

import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import sh
from pydantic import Field

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, ToolFailedError
from tasks.base.pipes import PIPE_BYTES, ProgramPipe, Tail, pipe
from tasks.base.processes import child_setup, end_group, signals_held_back
from tasks.base.run import child_environment
from tasks.base.secrets import mask
from tasks.base.words import Frozen

# sh logs whole command lines at INFO; a command line may name what is nobody's business.
logging.getLogger("sh").setLevel(logging.WARNING)

_NOWHERE = Path(os.devnull)
_FIRST_POLL_SECONDS, _POLL_SECONDS = 0.001, 0.02
_OWN_END_SECONDS = 0.5
_QUOTED_LINES, _QUOTED_CHARACTERS = 5, 1000
_ERROR = re.compile(r"\b(error|fatal|panic): ", re.IGNORECASE)
Stream = IO[bytes] | int | None


class Program(Frozen):
    """A program to run."""

    arguments: tuple[str, ...] = Field(min_length=1, description="The absolute path, then the arguments")
    environment: dict[str, str | None] = Field(
        default_factory=dict,
        repr=False,
        description="Added to this process's environment; None takes a variable out of it; may hold secrets",
    )
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
    with reading_from(program) as output:
        data = bytearray()
        while chunk := output.read(PIPE_BYTES):
            data += chunk
            if len(data) > limit_bytes:
                raise ToolFailedError(f"{program.name} printed more than {limit_bytes} bytes")
    return data.decode(errors="replace")


@contextmanager
def reading_from(program: Program) -> Iterator[BinaryIO]:
    """The program's output as an unbuffered pipe. Leaving the block well waits for the program and checks its code.

    A read raises ToolFailedError past the deadline and StoppedError after a stop, also while it waits. A program
    whose output is not read to its end fails for that.
    """
    read_end, write_end = pipe()
    with ProgramPipe(read_end) as output, _started(program, None, write_end, close=write_end) as child:
        output.check = child.check
        yield cast(BinaryIO, output)
        output.close()
        child.finish()


@contextmanager
def writing_to(program: Program, stdout: Stream = None) -> Iterator[BinaryIO]:
    """The program's input as an unbuffered pipe; a write takes all of the bytes, and raises as a read does.

    A program that ends early and well is no error; a write to it raises BrokenPipeError.
    """
    read_end, write_end = pipe()
    with ProgramPipe(write_end) as entry, _started(program, read_end, stdout, close=read_end) as child:
        entry.check = child.check
        yield cast(BinaryIO, entry)
        entry.close()
        child.finish()


class _Child:
    """One running program: its group, its stderr, its end."""

    def __init__(self, program: Program, command: Any, tail: Tail) -> None:
        self.program = program
        self.command = command
        self.tail = tail
        self.elapsed = stopwatch()

    def check(self) -> None:
        """Raise when the program may not go on: a stop, or its deadline."""
        stopping.raise_if_stopped()
        if self.elapsed() > self.program.deadline_seconds:
            raise ToolFailedError(
                f"{self.program.name} did not end within {self.program.deadline_seconds:g} s and was ended; "
                "raise its deadline or look at what it waited for",
                retryable=True,
            )

    def finish(self) -> Finished:
        """Wait for the end, within the deadline, and judge the exit code."""
        pause = _FIRST_POLL_SECONDS
        while self.command.is_alive():
            self.check()
            threading.Event().wait(pause)
            pause = min(2 * pause, _POLL_SECONDS)
        duration = self.elapsed()
        self.end()
        code = self.exit_code()
        if code not in self.program.ok_codes:
            stopping.raise_if_stopped()
            raise self.failure()
        return Finished(exit_code=code, stderr_tail=mask(self.tail.text()), duration_seconds=duration)

    def end(self) -> None:
        """End what is left of the group."""
        end_group(self.command.pid)

    def exit_code(self) -> int:
        """The exit code, negative for a signal; sh raises for most codes, and its exception holds all arguments."""
        with contextlib.suppress(sh.ErrorReturnCode, sh.SignalException):
            self.command.wait()
        return int(self.command.process.exit_code)

    def failure(self) -> ToolFailedError:
        """The program's end in one sentence, with the last it said."""
        code = self.exit_code()
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}, {signal.strsignal(-code)}"
        return ToolFailedError(f"{self.program.name} {how}: {_last_lines(mask(self.tail.text()))}")

    def has_failed_by_itself(self) -> bool:
        """True when it ended, or is about to, with a code that is not allowed; SIGPIPE is the fault of its reader."""
        waited = stopwatch()
        while self.command.is_alive():
            if waited() > _OWN_END_SECONDS:
                return False
            threading.Event().wait(_POLL_SECONDS)
        return self.exit_code() not in (*self.program.ok_codes, -signal.SIGPIPE)


@contextmanager
def _started(program: Program, stdin: Stream, stdout: Stream, close: int | None = None) -> Iterator[_Child]:
    """A running program, registered with `stopping`; its whole group is gone when the block is left."""
    child = None
    try:
        with signals_held_back():
            child = _launched(program, stdin, stdout, close)
        # A stop waits until the block is left, so the group has to be gone before.
        with stopping.on_stop(child.end), _ended(child):
            yield child
    finally:
        if child is not None:
            child.end()
            if not child.command.is_alive():
                child.exit_code()


@contextmanager
def _ended(child: _Child) -> Iterator[None]:
    """End the group when the block is left, and see to it that the error that leaves it names the cause."""
    try:
        yield
    except (BrokenPipeError, ToolFailedError) as error:
        # A pipe that broke, or the failure of the program fed from this one, is but the echo of an own failure.
        cause = child.failure() if child.has_failed_by_itself() else error
        stopping.raise_if_stopped()
        raise cause from None
    except Exception:
        # Any at all: the block is its caller's work, and after a stop what broke in it is but the echo of the stop.
        stopping.raise_if_stopped()
        raise
    finally:
        child.end()


def _launched(program: Program, stdin: Stream, stdout: Stream, close: int | None) -> _Child:
    """Start the program; `close` is the child's end of a pipe, which must not stay open here."""
    tail = Tail()
    try:
        stopping.raise_if_stopped()
        with _NOWHERE.open("rb") as nothing, _NOWHERE.open("wb") as discarded:
            command = _command(program)(
                *program.arguments[1:],
                _in=nothing if stdin is None else stdin,
                _out=discarded if stdout is None else stdout,
                _err=tail.write_end,
                _env=_environment(program),
                _cwd=str(program.cwd) if program.cwd else None,
                _preexec_fn=child_setup(program.run_as),
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
    except (sh.ForkException, OSError) as error:
        raise ConfigurationError(f"{program.name} cannot be started: {_last_lines(str(error), 1)}") from None
    finally:
        tail.close_write_end()
        if close is not None:
            os.close(close)
    return _Child(program, command, tail)


def _command(program: Program) -> Any:
    path = Path(program.arguments[0])
    if not path.is_absolute() or not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigurationError(f"{path} is no program that can be run by its absolute path; install it")
    return sh.Command(str(path))


def _environment(program: Program) -> dict[str, str]:
    wanted = {**os.environ, **child_environment(), **program.environment}
    return {name: value for name, value in wanted.items() if value is not None}


def _last_lines(text: str, count: int = _QUOTED_LINES) -> str:
    """The end of what a program said; where that is nothing but the statement that failed, from its error on."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if _ERROR.search(line)]
    if errors and errors[-1] < len(lines) - count:
        return " / ".join(lines[errors[-1] :][:count])[:_QUOTED_CHARACTERS]
    return " / ".join(lines[-count:])[-_QUOTED_CHARACTERS:] or "it said nothing"
