"""Running programs: no byte lost, no process left, nothing said that should not be."""

import os
import subprocess
import sys
import threading

import psutil
import pytest

from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, ToolFailedError
from tasks.base.programs import Program, output_of, reading_from, run, writing_to
from tasks.base.secrets import remember
from tests.unit.programs import flood, python, shell

# In a process of its own, so that other tests do not disturb the measure of memory.
GIGABYTE = """
import shutil, sys, tempfile, threading, psutil
from tasks.base.programs import Program, reading_from, run, writing_to

# Every megabyte begins with its number; who takes them knows what has to come, and says how many came.
START = "import sys; block = bytearray(range(256)) * 4096\\n"
SOURCE = START + '''
for n in range(int(sys.argv[1])):
    block[:4] = n.to_bytes(4, 'big')
    sys.stdout.buffer.write(block)'''
CHECK = START + '''
n, data = 0, bytearray(2**20)
while size := sys.stdin.buffer.readinto(data):
    block[:4] = n.to_bytes(4, 'big')
    assert size == 2**20 and data == block, f'megabyte {n} came differently'
    n += 1
print(n)'''

def python(*arguments):
    return Program(arguments=(sys.executable, "-c", *arguments), deadline_seconds=200)

highest, done = [0], threading.Event()
def watch():
    while not done.wait(0.02):
        highest[0] = max(highest[0], psutil.Process().memory_info().rss)

run(Program(arguments=("/bin/true",), deadline_seconds=10))
before = psutil.Process().memory_info().rss
threading.Thread(target=watch, daemon=True).start()
with tempfile.TemporaryFile() as seen:
    with reading_from(python(SOURCE, "1024")) as raw, writing_to(python(CHECK), stdout=seen) as entry:
        while chunk := raw.read(2**20):
            entry.write(chunk)
    seen.seek(0)
    assert seen.read() == b"1024\\n", "reading and writing"
with tempfile.TemporaryFile() as seen, tempfile.TemporaryFile() as data:
    run(python(SOURCE, "100"), stdout=data)
    data.seek(0)
    run(python(CHECK), stdin=data, stdout=seen)
    seen.seek(0)
    assert seen.read() == b"100\\n", "run"
done.set()
growth = (highest[0] - before) / 2**20
assert growth < 50, f"memory grew by {growth} MiB"
print(f"memory grew by {growth:.0f} MiB")
"""


def test_a_gigabyte_comes_through_whole_and_with_flat_memory():
    done = subprocess.run([sys.executable, "-c", GIGABYTE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)


def test_output_keeps_every_byte_of_an_argument_and_of_the_environment():
    awkward = "Größe 'x' \"y\" $HOME * \n --flag"
    program = Program(
        arguments=("/usr/bin/printf", "%s|%s", awkward, ""), environment={"LC_ALL": "C"}, deadline_seconds=30
    )
    assert output_of(program) == awkward + "|"
    assert output_of(shell('printf %s "$PLANTED"', environment={"PLANTED": awkward})) == awkward


def test_exit_codes_are_allowed_or_raise_with_the_last_lines_said():
    assert run(shell("exit 3", ok_codes=(0, 3))).exit_code == 3
    script = "for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; exit 4"
    with pytest.raises(ToolFailedError) as raised:
        run(shell(script))
    assert str(raised.value) == "sh ended with exit code 4: line 3 / line 4 / line 5 / line 6 / line 7"
    with pytest.raises(ToolFailedError, match="exit code 5: it said nothing"):
        run(shell("exit 5"))


def test_a_message_has_no_argument_no_secret_and_no_end_without_measure():
    remember("planted-secret-2")
    script = "echo connecting with password=hunter2222 and planted-secret-2 >&2; exit 1 # planted-argument"
    with pytest.raises(ToolFailedError) as raised:
        run(shell(script))
    for planted in ("hunter2222", "planted-secret-2", "planted-argument"):
        assert planted not in str(raised.value)
    with pytest.raises(ToolFailedError) as raised:
        run(python("import sys; sys.stderr.write('x' * 60000); sys.exit(1)"))
    assert len(str(raised.value)) < 1200
    assert "hunter2222" not in run(shell(script, ok_codes=(1,))).stderr_tail
    assert "planted" not in repr(shell("true", environment={"PGPASSWORD": "planted"}))


def test_a_program_killed_by_the_system_is_told_as_such():
    with pytest.raises(ToolFailedError, match="sh was ended by signal 9, Killed"):
        run(shell("kill -KILL $$"))


def test_of_a_long_statement_that_failed_its_error_is_quoted():
    said = "".join(f"line {number}\\n" for number in range(9))
    with pytest.raises(
        ToolFailedError, match=r"exit code 1: x: error: no such thing / Command was: a / line 0 / line 1"
    ):
        run(shell(f"printf 'x: warning: old\\nx: error: no such thing\\nCommand was: a\\n{said}' >&2; exit 1"))


def test_a_flood_of_stderr_blocks_nobody_and_only_its_end_is_kept():
    script = "import sys\nfor _ in range(1600): sys.stderr.write('x' * 65535 + '\\n')\nsys.stderr.write('the end')"
    before = psutil.Process().memory_info().rss
    finished = run(python(script))
    assert finished.stderr_tail.endswith("the end")
    assert len(finished.stderr_tail) <= 65536
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def test_a_program_has_no_terminal_and_an_empty_input():
    assert output_of(python("import os, sys; print([os.isatty(n) for n in (0, 1, 2)], sys.stdin.read())")) == (
        "[False, False, False] \n"
    )


def test_a_program_is_started_by_its_absolute_path_or_not_at_all(tmp_path):
    for path in ("sh", "bin/sh", "/nowhere/pg_dump", str(tmp_path)):
        with pytest.raises(ConfigurationError, match=f"^{path} is no program"):
            run(Program(arguments=(path,), deadline_seconds=30))
    broken = tmp_path / "broken"
    broken.write_text("no shebang\n")
    broken.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"^broken cannot be started: OSError: .*Exec format error"):
        run(Program(arguments=(str(broken),), deadline_seconds=30))
    with pytest.raises(ConfigurationError, match=r"sh cannot be started: FileNotFoundError"):
        run(shell("true", cwd=tmp_path / "missing"))


def test_no_descriptor_is_lost_over_many_programs(tmp_path):
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    run(shell("true"))
    before = open_files()
    for _ in range(20):
        output_of(shell("echo x"))
        with pytest.raises(ToolFailedError):
            run(shell("exit 1"))
        with writing_to(shell("exit 0")) as entry:
            entry.fileno()
        with pytest.raises(ConfigurationError):
            output_of(Program(arguments=("/nowhere/x",), deadline_seconds=30))
    # A thread that drains a stderr closes it when it sees its end, which may be a moment later.
    waited = stopwatch()
    while open_files() > before + 1:
        assert waited() < 60
        threading.Event().wait(0.02)


def test_output_past_its_limit_is_refused():
    with pytest.raises(ToolFailedError, match="head printed more than 1000 bytes"):
        output_of(Program(arguments=("/usr/bin/head", "-c", "100000", "/dev/zero"), deadline_seconds=30), 1000)


def test_output_that_nobody_reads_fails_instead_of_waiting_for_the_deadline():
    with (
        pytest.raises(ToolFailedError, match="signal 13"),
        reading_from(Program(arguments=("/bin/cat", "/dev/zero"), deadline_seconds=30)) as raw,
    ):
        raw.read(10)


def test_a_program_may_close_its_input_early():
    with writing_to(Program(arguments=("/usr/bin/head", "-c", "1"), deadline_seconds=30)) as entry:
        entry.write(b"all it wants")
    with pytest.raises(BrokenPipeError):
        flood(Program(arguments=("/usr/bin/head", "-c", "1"), deadline_seconds=30))
    with pytest.raises(ToolFailedError, match="exit code 9: full"):
        flood(shell("echo full >&2; exit 9"))


def test_the_program_that_failed_is_named_not_the_one_it_feeds():
    feeder = shell("echo no table here >&2; exit 7")
    fed = shell("read line || { echo my input is empty >&2; exit 8; }")
    with pytest.raises(ToolFailedError, match="exit code 7: no table here"):  # noqa: SIM117
        with reading_from(feeder) as raw, writing_to(fed) as entry:
            entry.write(raw.read(100))


def test_threads_may_run_programs_at_the_same_time():
    results = []

    def work(number):
        results.append(output_of(shell(f"head -c 300000 /dev/zero | tr '\\0' {number}")) == str(number) * 300000)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_a_program_runs_as_the_user_that_is_asked_for_or_not_at_all():
    program = shell("id -u; id -g; id -G", run_as=65534)
    if os.geteuid() == 0:
        assert output_of(program) == "65534\n65534\n65534\n"
    else:
        with pytest.raises(ConfigurationError, match=r"^sh cannot be started: PermissionError"):
            output_of(program)
