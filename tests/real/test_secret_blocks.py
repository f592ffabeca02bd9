"""`nightshift run` has a Prefect server of its own, and yet the blocks of the caller's."""

import os
import subprocess
import sys

import pytest
import yaml
from prefect.blocks.system import Secret

from deployments.secret_blocks import bring_along
from tasks.base import secrets, stopping
from tasks.base.errors import ConfigurationError
from tasks.base.secrets import mask, resolve


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A system without backups that tells the webhook which a block of this test's server names."""
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))
    monkeypatch.setattr(secrets, "_brought", {})
    stopping.reset()  # the flow of a test before left a stop behind it
    system = {
        "name": "acme",
        "databases": [{"name": "shop", "dsn": "dbname=shop", "password": "secret:acme-missing"}],
        "repository": {"url": f"file://{tmp_path}/repository"},
        "alerting": {"webhook_url": "secret:acme-hook"},
    }
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(system))


def refusal(reference):
    with pytest.raises(ConfigurationError) as refused:
        resolve(reference)
    return str(refused.value)


def test_a_run_reads_the_blocks_of_the_callers_server(acme, hook):
    Secret(value=os.environ["ACME_HOOK"]).save("acme-hook", overwrite=True)
    command = [sys.executable, "-m", "deployments.cli", "run", "backup_verification", "system=acme"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 1, "there is no backup"
    assert len(hook) == 1, ended.stderr
    assert "no finished backup of 'shop'" in hook[0]
    assert "planted-hook-token" not in ended.stdout + ended.stderr


def test_a_block_that_cannot_be_read_is_said_when_it_is_needed_with_what_to_do(acme, monkeypatch, hook):
    Secret(value=os.environ["ACME_HOOK"]).save("acme-hook", overwrite=True)
    server = os.environ["PREFECT_API_URL"]
    bring_along("acme")
    assert mask(resolve("secret:acme-hook")) == secrets.MASK
    assert refusal("secret:acme-missing").startswith(
        f"secret:acme-missing cannot be read (the Prefect server at {server} has no such block); set it where"
    )
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    bring_along("acme")
    assert "the Prefect server at http://127.0.0.1:1/api does not answer; start it" in refusal("secret:acme-hook")
    monkeypatch.delenv("PREFECT_API_URL")
    bring_along("acme")
    assert "no Prefect server is named here that could hold the block; start it and set" in refusal("secret:acme-hook")
