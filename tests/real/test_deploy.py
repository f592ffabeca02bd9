"""`nightshift deploy` and `prefect deploy` against a real Prefect server with all of its services."""

import subprocess
import time

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Running

from deployments.demo.servers import program
from deployments.prefect_yaml import ROOT
from deployments.provisioning import deploy
from tasks.base.errors import ConfigurationError, UnreachableError
from tasks.base.systems import load_system
from tests.real.ending import wait_until

SYSTEM = {
    "name": "acme",
    "databases": [{"name": "shop", "dsn": "service=shop"}],
    "repository": {"url": "file:///var/backups"},
    "alerting": {"webhook_url": "env:ACME_HOOK"},
    "schedules": [
        {"flow": "database_backup", "slug": "nightly", "cron": "0 2 * * *", "procedures": ["MN-055"]},
        {"flow": "backup_retention", "slug": "weekly", "cron": "0 7 * * 0", "parameters": {"dry_run": False}},
    ],
}


@pytest.fixture
def client():
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSHIFT_SYSTEMS", str(tmp_path))

    def write(**changes):
        (tmp_path / "acme.yaml").write_text(yaml.safe_dump(SYSTEM | changes))
        return load_system("acme")

    return write


def done(system):
    return {result.target: result.message.split(",")[0] for result in deploy(system)}


def test_a_second_deploy_changes_nothing_and_keeps_what_the_operator_paused(client, hook, write):
    for one in client.read_deployments():  # another file's tests may have deployed a system of this name
        client.delete_deployment(one.id)
    first = done(write())
    assert first["database_backup/acme-nightly"] == "created"
    assert set(done(write()).values()) == {"unchanged"}
    there = client.read_deployment_by_name("database_backup/acme-nightly")
    client.update_deployment_schedule(there.id, there.schedules[0].id, active=False)
    assert set(done(write()).values()) == {"unchanged"}
    later = write(schedules=[SYSTEM["schedules"][0] | {"cron": "0 3 * * *"}, SYSTEM["schedules"][1]])
    assert done(later)["database_backup/acme-nightly"] == "updated"
    there = client.read_deployment_by_name("database_backup/acme-nightly")
    assert [(one.schedule.cron, one.active) for one in there.schedules] == [("0 3 * * *", False)]
    assert there.parameters == {"system": "acme"}


def test_what_left_the_file_leaves_the_server(client, hook, write):
    done(write())
    by_hand = [{"flow": "database_backup", "slug": "nightly"}]
    assert done(write(schedules=by_hand, alerting={})) == {
        "nightshift": "unchanged",
        "nightshift: a run whose process died": "unchanged",
        "nightshift: a late run of acme": "updated",
        "nightshift: a crashed run of acme": "removed",
        "database_backup/acme-nightly": "updated",
        "acme-weekly": "removed",
    }
    assert client.read_deployment_by_name("database_backup/acme-nightly").schedules == []
    assert "planted-hook-token" not in str(client.read_block_documents(include_secrets=True))


def test_every_schedule_makes_runs(client, hook, write):
    """The locked packages fit together: with a wrong SQLAlchemy the scheduler fails in silence."""
    done(write())
    wanted = {"database_backup/acme-nightly": {}, "backup_retention/acme-weekly": {"dry_run": False}}
    for name, parameters in wanted.items():
        there = DeploymentFilterId(any_=[client.read_deployment_by_name(name).id])
        ours = DeploymentFilter(id=there)
        planned = wait_until(
            lambda ours=ours: [one for one in client.read_flow_runs(deployment_filter=ours) if one.auto_scheduled]
        )
        assert planned[0].parameters == {"system": "acme"} | parameters


def test_a_crashed_run_sends_one_message(client, hook, write):
    done(write())
    there = client.read_deployment_by_name("database_backup/acme-nightly")
    run = client.create_flow_run_from_deployment(there.id, name='crash "test"')
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, Crashed(), force=True)

    def told():
        return [yaml.safe_load(body) for body in hook if " crashed; " in body]

    wait_until(told)
    time.sleep(1)
    assert told() == [{"text": 'crash "test" crashed; start it again, it cleans up first'}]


def test_plain_prefect_deploy_reads_the_file(client):
    deploy(load_system("demo"))
    ran = subprocess.run(
        [program("prefect"), "--no-prompt", "deploy", "--all"],
        cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    there = client.read_deployment_by_name("restore_test/demo-monthly")
    assert there.parameters == {"system": "demo", "pick": "random-older"}
    assert [one.schedule.cron for one in there.schedules] == ["0 6 1 * *"]


def test_without_a_server_it_says_what_to_start(write, hook):
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ConfigurationError, match="prefect server start"):
        deploy(write())
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(UnreachableError, match="no Prefect server answers at"),
    ):
        deploy(write())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cron": "61 2 * * *"}, "database_backup nightly: '61 2 * * *' is no cron; write such as '0 2 * * *'"),
        ({"flow": "database_backups"}, "database_backups nightly: unknown flow 'database_backups'; known are: "),
        ({"parameters": {"pick": "newest"}}, "database_backup nightly: database_backup does not take these parameters"),
    ],
)
def test_a_schedule_that_cannot_run_is_refused_before_anything_is_deployed(client, hook, write, change, sentence):
    before = client.read_deployments()
    system = write(schedules=[SYSTEM["schedules"][1] | {"slug": "yearly"}, SYSTEM["schedules"][0] | change])
    with pytest.raises(ConfigurationError) as refused:
        deploy(system)
    assert sentence in str(refused.value)
    assert client.read_deployments() == before
