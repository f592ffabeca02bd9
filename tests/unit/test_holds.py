"""`nightshift hold` and `release`: what lies in the repository counts, not what the system file still names."""

import pytest
import yaml

from deployments import cli
from tasks.repository import records
from tasks.repository.local import LocalStore

BACKUP = "20260901T020000Z-0badcafe"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The repository of 'acme', whose file names 'shop'; of 'old', which left the file, there is a backup."""
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))
    system = {
        "name": "acme",
        "databases": [{"name": "shop", "dsn": "dbname=shop"}],
        "repository": {"url": f"file://{tmp_path}/repository"},
    }
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(system))
    store = LocalStore(f"{tmp_path}/repository")
    store.put(f"acme/old/logical/{BACKUP}/manifest.json", b"{}")
    return store


def nightshift(*arguments):
    """The exit code, a sentence when it is not 0."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code


def test_a_backup_of_a_database_that_left_the_file_is_held_and_released(store):
    assert nightshift("hold", "acme", "old", BACKUP, "--reason", "audit") == 0
    assert records.held_backup_ids(store, "acme", "old") == [BACKUP]
    assert nightshift("release", "acme", "old", BACKUP) == 0
    assert records.held_backup_ids(store, "acme", "old") == []


def test_its_receipts_are_walked_too(store, capsys):
    nightshift("receipts", "acme", "--verify")
    assert "acme/old: receipt: there is no receipt" in capsys.readouterr().out


@pytest.mark.parametrize("command", [("hold", "--reason", "audit"), ("release",)])
def test_a_database_that_never_was_is_refused_with_those_that_are_known(store, command):
    said = nightshift(command[0], "acme", "nowhere", BACKUP, *command[1:])
    assert said == "nightshift: system 'acme' knows no database 'nowhere'; known are: shop, old"


def test_a_hold_that_came_too_late_says_so_and_is_not_left_behind(store, monkeypatch):
    put = records.put_hold

    def after_the_retention(*arguments):
        store.delete(f"acme/old/logical/{BACKUP}/manifest.json")
        put(*arguments)

    monkeypatch.setattr(records, "put_hold", after_the_retention)
    said = nightshift("hold", "acme", "old", BACKUP, "--reason", "audit")
    assert said == f"nightshift: {BACKUP} was deleted meanwhile by a retention that was at work"
    assert records.held_backup_ids(store, "acme", "old") == []
