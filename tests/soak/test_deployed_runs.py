"""Runs of a real worker: cancelled in the UI, or dead without a word together with their worker."""

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from deployments.automations import ZOMBIE_AFTER
from deployments.demo.servers import program, serving
from deployments.provisioning import deploy
from flows.database_backup import database_backup
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tests.real.conftest import change_system
from tests.real.ending import END_SECONDS, dump_held, own_processes, own_sessions, wait_until


@pytest.fixture
def client():
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployed(system):
    """The system 'acme' with deployments of its backup and of its restore test."""
    change_system(
        schedules=[{"flow": "database_backup", "slug": "nightly"}, {"flow": "restore_test", "slug": "weekly"}]
    )
    deploy(load_system("acme"))


@contextmanager
def restore_test_held():
    """While the block runs, restore tests hang in an assertion; the folder that their sandboxes are in."""
    with tempfile.TemporaryDirectory(prefix="held-") as folder:
        Path(folder).chmod(0o755)
        waits = {"name": "takes its time", "sql": "SELECT pg_sleep(3600)", "expect": ""}
        change_system(restore_test={"folder": folder, "assertions": [waits]})
        yield Path(folder)


@contextmanager
def worker(log, *options):
    """A worker that takes runs."""
    command = [program("prefect"), "worker", "start", "--pool", "nightshift", "--name", f"soak-{log.stem}", *options]
    with serving(command, {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"}, log) as process:
        yield process


def start(client, label):
    """Ask for a run of a deployment, as the UI does; its id."""
    deployment = client.read_deployment_by_name(label)
    return client.create_flow_run_from_deployment(deployment.id).id


def ended(client, run_id):
    """The run's last state, None as long as it goes on."""
    state = client.read_flow_run(run_id).state
    return state if state.is_final() else None


def engine_of(run_id):
    """The process that executes this run."""
    for process in psutil.process_iter(["cmdline", "environ"]):
        of_run = (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID") == str(run_id)
        if of_run and "prefect.engine" in (process.info["cmdline"] or []):
            return process
    return None


def left_of_runs(sandboxes):
    """What runs began that is still alive, engines included."""
    engines = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        ours = (process.info["environ"] or {}).get("NIGHTSHIFT_SYSTEMS") == os.environ["NIGHTSHIFT_SYSTEMS"]
        if ours and "prefect.engine" in (process.info["cmdline"] or []):
            engines.append("engine")
    return own_processes(sandboxes) + engines


@pytest.mark.timeout(1200)
def test_runs_cancelled_in_the_ui_end_at_once_with_all_they_began(deployed, client, shop, tmp_path):
    assert database_backup("acme").verdict is Verdict.OK
    with dump_held(shop), restore_test_held() as sandboxes, worker(tmp_path / "worker.log"):
        runs = [start(client, "database_backup/acme-nightly"), start(client, "restore_test/acme-weekly")]
        wait_until(lambda: {"pg_dump", "postgres"} <= set(own_processes(sandboxes)))
        cancelled = time.monotonic()
        for run_id in runs:
            client.set_flow_run_state(run_id, State(type=StateType.CANCELLING))
        wait_until(lambda: not left_of_runs(sandboxes), END_SECONDS)
        print(f"cancelled runs had ended after {time.monotonic() - cancelled:.1f} s")
        # The worker then imports the flow anew to look for hooks, before it sets the state.
        states = [wait_until(lambda run_id=run_id: ended(client, run_id)) for run_id in runs]
        assert {(state.type, state.message) for state in states} == {
            (StateType.CANCELLED, "Flow run was cancelled successfully.")
        }
        assert list(sandboxes.iterdir()) == []
        wait_until(lambda: own_sessions(shop) == [])
    assert database_backup("acme").verdict is Verdict.OK


@pytest.mark.timeout(1200)
def test_a_run_that_died_with_its_worker_is_marked_crashed_a_living_one_is_not_and_the_next_one_succeeds(
    deployed, client, shop, tmp_path
):
    assert database_backup("acme").verdict is Verdict.OK
    # The worker of the living run has no place for a second one, until the first has ended.
    with restore_test_held() as sandboxes, worker(tmp_path / "living.log", "--limit", "1"):
        living = start(client, "restore_test/acme-weekly")
        wait_until(lambda: "postgres" in own_processes(sandboxes))
        began = time.monotonic()
        with dump_held(shop):
            with worker(tmp_path / "dying.log") as first:
                run_id = start(client, "database_backup/acme-nightly")
                wait_until(lambda: "pg_dump" in own_processes())
                engine = engine_of(run_id)
                first.kill()
                engine.kill()
            died = time.monotonic()
            state = wait_until(lambda: ended(client, run_id), 600)
        print(f"it was marked {time.monotonic() - died:.0f} s after its death, with a limit of {ZOMBIE_AFTER}")
        assert state.type is StateType.CRASHED
        assert state.message == "its process died without a word; start it again, it cleans up first"
        # It has lived for longer than what counts as dead without a heartbeat.
        assert time.monotonic() - began > ZOMBIE_AFTER.total_seconds()
        assert client.read_flow_run(living).state.is_running()
        client.set_flow_run_state(living, State(type=StateType.CANCELLING))
        assert wait_until(lambda: ended(client, living)).type is StateType.CANCELLED
        again = start(client, "database_backup/acme-nightly")
        state = wait_until(lambda: ended(client, again))
        assert state.is_completed(), state
    assert own_processes() == []
