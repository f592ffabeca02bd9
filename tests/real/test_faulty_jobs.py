"""Whole jobs into repositories that fail: one sentence, no half backup, and the next run is well."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml
from botocore.retries.standard import ExponentialBackoff

from flows import backup_verification as verification
from flows import database_backup as backup
from tasks.base.words import Verdict
from tasks.report.publish import publish
from tasks.repository import catalog
from tasks.repository.local import LocalStore
from tests.real.conftest import write_system
from tests.real.faulty import always, busy, deny, drop, faulty_store, in_turn, times


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The same tries, without the waits between them."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)
    for task in (backup.back_up_database, verification.verify_backup, publish):
        monkeypatch.setattr(task, "retry_delay_seconds", [0, 0])


@pytest.fixture
def past(rclone, system, tmp_path, monkeypatch, request):
    """The system 'acme' with its repository behind a proxy: the proxy, and the store past it."""
    prefix = f"jobs/{request.node.name}"
    place = tmp_path / "systems" / "acme.yaml"
    with faulty_store(rclone.endpoint) as proxy:
        data = yaml.safe_load(place.read_text())
        place.write_text(yaml.safe_dump(data | {"repository": rclone.policy(prefix, proxy.endpoint)}))
        yield proxy, rclone.store(prefix)


def is_data(exchange):
    return exchange.method == "PUT" and "/logical/" in exchange.path


def is_archive(exchange):
    return exchange.method == "PUT" and "archive.dump" in exchange.path


def ended(flow, **parameters):
    state = flow("acme", return_state=True, **parameters)
    return state, state.message.replace("\n", " ")


def test_a_store_that_is_busy_for_a_while_costs_nothing_but_time(past):
    proxy, store = past
    proxy.fault = in_turn(times(3, busy, is_data), times(1, drop, is_data), times(2, busy))
    result = backup.database_backup("acme")
    assert result.verdict is Verdict.OK, result.headline
    assert verification.backup_verification("acme").verdict is Verdict.OK
    assert len(catalog.list_backups(store, "acme")) == 1


def test_a_store_that_dies_is_tried_again_by_the_job_and_then_said_in_one_sentence(past):
    proxy, store = past
    proxy.fault = always(drop, is_archive)
    state, said = ended(backup.database_backup)
    assert state.is_failed()
    assert "1 FAIL: shop: cannot write acme/shop/logical/" in said
    assert said.endswith("look whether the store runs and is reachable from here")
    tried = [path for method, path in proxy.seen if method == "PUT" and "archive.dump" in path]
    assert len(tried) == 3 * 4, "the job thrice, each time with the four tries of one request"
    assert catalog.list_backups(store, "acme") == []
    proxy.fault = times(0, drop)
    assert backup.database_backup("acme").verdict is Verdict.OK


def test_a_refused_key_is_not_tried_again(past):
    proxy, store = past
    proxy.fault = always(deny, is_archive)
    state, said = ended(backup.database_backup)
    assert state.is_failed()
    assert "(AccessDenied); check key, secret and policy" in said
    assert len([path for method, path in proxy.seen if method == "PUT" and "archive.dump" in path]) == 1
    assert catalog.list_backups(store, "acme") == []


def test_what_went_wrong_is_said_although_the_report_cannot_be_stored(past):
    proxy, _ = past
    proxy.fault = always(drop)
    state, said = ended(backup.database_backup)
    assert state.is_failed()
    assert "1 FAIL: shop: cannot list acme/shop/" in said
    assert "; its report was not stored: cannot write acme/reports/" in said


def test_a_download_that_breaks_off_is_tried_again_and_is_no_damage(past):
    proxy, _ = past
    backup.database_backup("acme")

    def break_off(exchange):
        exchange.forward()
        exchange.cut = 10

    def is_archive(exchange):
        return exchange.method == "GET" and "archive.dump" in exchange.path

    proxy.fault = times(1, break_off, is_archive)
    assert verification.backup_verification("acme").verdict is Verdict.OK
    proxy.fault = always(break_off, is_archive)
    state, said = ended(verification.backup_verification)
    assert state.is_failed()
    assert "cannot read on in acme/shop/logical/" in said
    assert "look whether the store runs" in said


LIMITED = """
import resource
from flows.database_backup import database_backup
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
database_backup("acme")
"""


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(system, shop):
    # A limit on the size of files stands for the disk: the kernel answers alike, for any user and without a mount.
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("CREATE TABLE noise AS SELECT gen_random_uuid() FROM generate_series(1, 60000)")
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode != 0
    sentence = "cannot write acme/shop/logical/"
    assert sentence in done.stderr
    assert "File too large; free space on its disk" in done.stderr
    store = LocalStore(str(system))
    assert catalog.list_backups(store, "acme") == []
    assert list(system.rglob(".unfinished-*")) == []
    assert not [item.key for item in store.list("acme/shop/logical/") if "archive" in item.key]
    # The report is small, and says it too.
    reports = [store.get(item.key).decode() for item in store.list("acme/reports/") if item.key.endswith(".csv")]
    assert sentence in reports[0]
    assert backup.database_backup("acme").verdict is Verdict.OK


def test_a_repository_that_cannot_be_written_is_one_sentence(system, tmp_path, shop, identity):
    # A file in the place of the folder is refused to root too.
    Path(tmp_path / "file").touch()
    write_system(tmp_path / "systems", shop, tmp_path / "file" / "repository", str(identity.to_public()))
    state, said = ended(backup.database_backup)
    assert state.is_failed()
    assert "Not a directory; look at the folder and this user's right to it" in said
    assert "Traceback" not in said


def test_a_disk_that_will_not_take_another_backup_is_a_warning(system, tmp_path, shop, identity):
    write_system(
        tmp_path / "systems", shop, system, str(identity.to_public()), thresholds={"disk_free_share": 1},
    )  # fmt: skip
    state = backup.database_backup("acme", return_state=True)
    assert state.name == "With warnings"
    disk = state.result().checks[-1]
    assert (disk.name, disk.target, disk.verdict) == ("free disk", f"file://{system}", Verdict.WARN)
    assert "of the disk is free, less than the 100.0% of the limit; free space there" in disk.message
    assert len(catalog.list_backups(LocalStore(str(system)), "acme")) == 1
