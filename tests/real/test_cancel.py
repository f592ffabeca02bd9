"""Runs that are stopped by a signal: they end within ten seconds, take all that they began with them, and say so."""

import re
import signal

import pytest

from flows.database_backup import database_backup
from tasks.base.errors import NightshiftError
from tasks.base.words import Verdict
from tasks.repository import catalog
from tasks.repository.local import LocalStore
from tests.real.ending import END_SECONDS, dump_held, nightshift, own_processes, own_sessions, wait_until


def test_a_second_backup_is_refused_by_the_name_of_the_first_which_ends_at_once_on_sigterm(system, shop, tmp_path):
    log, temporary = tmp_path / "log", tmp_path / "temporary"
    with dump_held(shop), nightshift(log, temporary, "run", "database_backup", "system=acme") as first:
        wait_until(lambda: first.poll() is not None or "pg_dump" in own_processes(), 250)
        assert first.poll() is None, log.read_text()
        with pytest.raises(NightshiftError) as refused:
            database_backup("acme")
        first.send_signal(signal.SIGTERM)
        first.wait(END_SECONDS)
        assert own_processes() == []
        wait_until(lambda: own_sessions(shop) == [])
    said = log.read_text()
    assert first.returncode == 1
    assert said.splitlines()[-1].startswith("nightshift: the run was stopped; what it had begun was ended")
    assert "Traceback" not in said
    assert list(temporary.iterdir()) == [], "the folder of its Prefect is left"
    holder = re.search(r"'shop' is locked by (nightshift:backup:\S+) \(pid \d+, since \S+Z\)", str(refused.value))
    assert holder, refused.value
    assert catalog.list_backups(LocalStore(str(system)), "acme") == []
    assert database_backup("acme").verdict is Verdict.OK
