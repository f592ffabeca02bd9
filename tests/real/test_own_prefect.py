"""`nightshift run` brings its own Prefect server: it is gone after the run, whatever way the run ended."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import psycopg
import pytest

from tasks.postgres.lock import _LOCK
from tests.real.ending import END_SECONDS, wait_until


@pytest.fixture
def start(system, tmp_path):
    """Start the command with a temporary folder of its own; all that it left is ended afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment["TMPDIR"] = str(folder)

    def start(*arguments, **variables):
        command = [sys.executable, "-m", "deployments.cli", "run", *arguments]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return psutil.Popen(command, env=environment | variables, text=True, **output)

    yield start
    for process in begun_below(folder):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def homes(tmp_path):
    return list((tmp_path / "tmp").glob("nightshift-run-*"))


def begun_below(folder):
    """Every process that has this temporary folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_what_a_killed_run_left_is_gone_after_the_next(start, tmp_path):
    killed = start("backup_retention", "system=acme")
    wait_until(lambda: homes(tmp_path) and killed.children())
    [home], servers = homes(tmp_path), killed.children()
    killed.kill()
    killed.wait()
    assert any(server.is_running() for server in servers)
    after = start("nothing")
    assert "unknown flow 'nothing'" in after.communicate(timeout=250)[1]
    assert not home.exists()
    assert homes(tmp_path) == begun_below(tmp_path / "tmp") == []


def test_ctrl_c_ends_a_run_with_one_sentence_and_leaves_nothing(start, tmp_path, shop, system):
    text = (system.parent / "systems" / "acme.yaml").read_text()
    (system.parent / "systems" / "acme.yaml").write_text(text.replace("backup:", "backup:\n  on_lock: wait"))
    with psycopg.connect(shop, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%(classid)s, %(objid)s)", _LOCK)
        waiting = (
            "SELECT 1 FROM pg_stat_activity "
            "WHERE application_name LIKE 'nightshift:backup:%' AND query LIKE '%advisory%'"
        )
        # As on a machine that never ran it: there is no empty database of Prefect to begin with yet.
        run = start("database_backup", "system=acme", XDG_CACHE_HOME=str(tmp_path / "cache"))
        wait_until(lambda: holder.execute(waiting).fetchone())
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=END_SECONDS)[1]
    assert run.returncode == 1, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("nightshift: the run was stopped; what it had begun was ended")
    assert [kept.suffix for kept in (tmp_path / "cache" / "nightshift").iterdir()] == [".db"]
    assert homes(tmp_path) == begun_below(tmp_path / "tmp") == []
