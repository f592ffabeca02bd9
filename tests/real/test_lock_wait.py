"""Two runs of one database under the policy `wait`: the second says for whom it waits, and then does its work."""

import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager

from tasks.repository import catalog
from tasks.repository.local import LocalStore
from tests.real.conftest import change_system
from tests.real.ending import dump_held, own_processes, wait_until

RUN = "from flows.database_backup import database_backup; database_backup('acme')"


@contextmanager
def backup(log):
    """A backup in a process of its own, its log in that file."""
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", RUN], stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_second_backup_names_the_first_in_its_log_waits_for_its_end_and_succeeds(system, shop, tmp_path):
    change_system(backup={"on_lock": "wait"})
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with ExitStack() as running:
        with dump_held(shop):
            first = running.enter_context(backup(logs[0]))
            wait_until(lambda: first.poll() is not None or "pg_dump" in own_processes(), 250)
            second = running.enter_context(backup(logs[1]))
            wait_until(lambda: second.poll() is not None or "waiting for its end" in logs[1].read_text(), 250)
            assert (first.poll(), second.poll()) == (None, None), logs[0].read_text() + logs[1].read_text()
            assert catalog.list_backups(LocalStore(str(system)), "acme") == []
        assert [process.wait(200) for process in (first, second)] == [0, 0], logs[1].read_text()
    said = re.findall(
        r"'shop' is locked by (nightshift:backup:\S+) \(pid \d+, since \S+Z\); waiting", logs[1].read_text()
    )
    backups = catalog.list_backups(LocalStore(str(system)), "acme")
    assert len(backups) == 2
    assert [name.rsplit(":", 1)[1] for name in said] == [backups[0].backup_id.rsplit("-", 1)[1]]
    assert "is locked by" not in logs[0].read_text()
