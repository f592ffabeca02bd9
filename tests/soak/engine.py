"""Runs without Prefect, each in a process of its own that may be killed: forked, so that one starts in milliseconds."""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


def backup(run) -> str:
    from tasks.postgres.backup.logical import back_up

    database, system = run.system.databases[0], run.system
    return back_up(system.name, database, system.backup, run.store, run.run_id, lambda *_: None).backup_id


def restore_test(run) -> str:
    from flows.restore_test import prove_backup

    return prove_backup.fn(run, run.system.databases[0], "newest").proven


def retention(run) -> str:
    from flows.backup_retention import delete, make_plan

    return ", ".join(check.message for check in delete.fn(run, make_plan.fn(run)))


def maintenance(run) -> str:
    from tasks.base.clock import utc_now
    from tasks.base.maintenance import Opening
    from tasks.postgres.maintain.database import Job, maintain

    until = Opening(start=utc_now(), end=utc_now() + timedelta(minutes=5))
    job = Job(run.store, run.system.name, run.system.maintenance, run.run_id)
    return json.dumps(maintain(job, run.system.databases[0], until).rows)


def capacity_sample(run) -> str:
    from flows.capacity_sample import keep_samples, parts, sample_part

    found = [one for part in parts(run) for one in sample_part.fn(run, part).samples]
    return json.dumps(sorted([one.kind, one.resource] for one in keep_samples.fn(run, tuple(found))))


def capacity_import(run) -> str:
    from flows.capacity_import import keep_history, read_history

    found, _, _ = read_history.fn(run, os.environ["HISTORY"], 400)
    return str(keep_history.fn(run, found, False))


READY = b"ready\n"
JOBS = {job.__name__: job for job in (backup, restore_test, retention, maintenance, capacity_sample, capacity_import)}


@dataclass(frozen=True)
class Running:
    """A run at work."""

    pid: int
    outcome: Path

    def alive(self) -> bool:
        return psutil.pid_exists(self.pid)

    def kill(self) -> dict[str, str]:
        """SIGKILL; how it ended when that came too late."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self, seconds: float = 200) -> dict[str, str]:
        """How it ended: {'returned': …} or {'error': sentence}; empty when it was killed."""
        until = time.monotonic() + seconds
        while self.alive():
            assert time.monotonic() < until, f"the run did not end within {seconds} s"
            time.sleep(0.01)
        return json.loads(self.outcome.read_text()) if self.outcome.exists() else {}


class Engine:
    """Starts runs of the systems that this process's environment names."""

    def __init__(self, process, folder: Path) -> None:
        """Waits until it has imported all: a run that is timed does not wait for that."""
        self._process, self._folder, self._started = process, folder, 0
        assert process.stdout.readline() == READY, "the engine did not start; its log says why"

    def start(self, job: str) -> Running:
        self._started += 1
        outcome = self._folder / f"outcome-{self._started}.json"
        order = {"job": job, "outcome": str(outcome), "environment": dict(os.environ)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return Running(int(self._process.stdout.readline()), outcome)

    def run(self, job: str) -> str:
        """Run to the end; what it returned."""
        ended = self.start(job).wait()
        assert "returned" in ended, ended
        return ended["returned"]


def main() -> None:
    """Fork a run for each line of orders; print its PID."""
    import flows.backup_retention
    import flows.capacity_import
    import flows.capacity_sample
    import flows.database_maintenance
    import flows.restore_test  # noqa: F401
    import tasks.postgres.backup.logical  # noqa: F401

    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    for line in sys.stdin:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the runs here, so none becomes a zombie
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _carry_out(json.loads(line))
        print(pid, flush=True)


def _carry_out(order) -> None:
    from flows import _support
    from tasks.base.errors import NightshiftError

    os.environ.clear()
    os.environ.update(order["environment"])
    try:
        with _support.begin(order["job"], "acme") as run:
            ended = {"returned": JOBS[order["job"]](run)}
    except NightshiftError as error:
        ended = {"error": str(error)}
    except BaseException:  # noqa: BLE001 - told to the test, which fails for it
        ended = {"error": f"Traceback: {traceback.format_exc()}"}
    written = Path(order["outcome"]).with_suffix(".part")
    written.write_text(json.dumps(ended))
    written.rename(order["outcome"])
    os._exit(0)


if __name__ == "__main__":
    main()
