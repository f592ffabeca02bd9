"""The `nightshift` command as a person types it, in a process of its own, with no Prefect server."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def nightshift(system):
    def run(*arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        return subprocess.run(
            [sys.executable, "-m", "deployments.cli", *arguments],
            capture_output=True, text=True, env=environment, timeout=250, check=False,
        )  # fmt: skip

    return run


def test_run_backups_hold_and_receipts_without_a_server(nightshift):
    ran = nightshift("run", "database_backup", "system=acme")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("OK: 1 OK: shop: ")
    listed = json.loads(nightshift("backups", "acme", "--json").stdout)
    assert [backup["database"] for backup in listed] == ["shop"]
    backup_id = listed[0]["backup_id"]
    assert nightshift("hold", "acme", "shop", backup_id, "--reason", "audit").returncode == 0
    assert nightshift("run", "restore_test", "system=acme").returncode == 0
    assert nightshift("receipts", "acme", "--verify").returncode == 0
    line = nightshift("backups", "acme").stdout.splitlines()[-1]
    assert line.split()[-2:] == ["yes", "yes"]


def test_check_says_what_is_there(nightshift):
    checked = nightshift("check", "acme")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "PostgreSQL 18" in checked.stdout


@pytest.mark.parametrize("to", ["a reader that has seen enough", "a full disk"])
def test_output_that_goes_nowhere_ends_without_a_traceback(system, to):
    reading, writing = os.pipe() if to.startswith("a reader") else (os.dup(0), os.open("/dev/full", os.O_WRONLY))
    os.close(reading)
    told = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "backups", "acme"], stdout=writing, stderr=subprocess.PIPE,
        text=True, timeout=250, check=False,
    )  # fmt: skip
    os.close(writing)
    said = "nightshift: the disk that the output goes to is full; what was done is in the reports, free some\n"
    assert (told.returncode, told.stderr) == (1, said if to == "a full disk" else "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "nowhere"), "unknown system 'nowhere'"),
        (("run", "nothing", "system=acme"), "unknown flow 'nothing'; known are: access_review"),
        (("run", "database_backup"), "database_backup needs system"),
        (("run", "restore_test", "system=acme", "pick=oldest"), "does not take these parameters"),
        (("hold", "acme", "shop", "x", "--reason", "r"), "has no backup 'x'"),
    ],
)
def test_a_mistake_is_one_sentence_without_a_traceback(nightshift, arguments, sentence):
    failed = nightshift(*arguments)
    assert failed.returncode == 1
    assert sentence in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1


def test_a_failed_flow_is_red_and_says_why_without_a_traceback(nightshift):
    failed = nightshift("run", "backup_verification", "system=acme")
    assert failed.returncode == 1
    assert "no finished backup of 'shop'" in next(
        line for line in failed.stderr.splitlines() if line.startswith("nightshift:")
    )
    assert "Traceback" not in failed.stderr
