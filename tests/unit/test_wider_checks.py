"""`nightshift check` beside databases and repository: what a flow could not see or run is said with what mends it."""

import gzip

import pytest

from deployments.answers import result
from deployments.cli import _print_checks
from deployments.demo.certificates import make
from deployments.wider_checks import check
from tasks.base.system import System
from tasks.base.words import Verdict
from tests.unit.kubernetes_api import RBAC, without_roles
from tests.unit.programs import Programs
from tests.unit.test_prometheus_answers import faulty
from tests.unit.tls import serving, tls

CLOSED = "http://127.0.0.1:1"


def checked(tmp_path, **sections):
    """The results by target and name, of a system that names only this."""
    data = {
        "name": "acme",
        "databases": [{"name": "shop", "dsn": "host=127.0.0.1 port=1"}],
        "repository": {"url": f"file://{tmp_path}/repository"},
        **sections,
    }
    return {(one.target, one.name): one for one in check(System.model_validate(data))}


@pytest.fixture
def api():
    cluster = without_roles()
    yield cluster
    cluster.close()


def test_a_system_that_names_nothing_more_is_asked_nothing_more(tmp_path):
    assert checked(tmp_path) == {}


def test_servers_that_do_not_answer_and_places_that_are_not_there_are_named_in_one_pass(tmp_path):
    (tmp_path / "cut.log.gz").write_bytes(gzip.compress(b"x" * 9999)[:20])
    found = checked(
        tmp_path,
        prometheus={"url": CLOSED},
        logs={"postgres": [f"{tmp_path}/*.csv"]},
        log_review={"sources": [{"name": "app", "kind": "application", "files": [f"{tmp_path}/*.log.gz"]}]},
        restore_test={"command": ["no-such-program"]},
        security_check={
            "certificates": {"endpoints": [{"host": "127.0.0.1", "port": 1}], "files": [f"{tmp_path}/*.pem"]},
            "alertmanager": {"url": CLOSED},
        },
        capacity={"clusters": [{"name": "main", "kubeconfig": "/nowhere"}]},
        access={"clusters": ["main"], "hosts": [{"name": "web", "root": f"{tmp_path}/nowhere"}]},
    )
    for key, words in {
        (CLOSED, "Prometheus"): "is it running?",
        ("acme", "logs.postgres"): f"no file is at {tmp_path}/*.csv; correct the pattern",
        ("log app", "files"): "cut.log.gz is cut or damaged; restore it",
        ("acme", "restore_test.command"): "program 'no-such-program' is not on PATH; install it",
        ("127.0.0.1:1", "certificate"): "does not answer",
        (f"{tmp_path}/*.pem", "certificate"): "correct security_check.certificates.files",
        ("Alertmanager", "alerts"): "is it running?",
        ("main", "cluster"): "set kubeconfig and context, or run inside it",
        ("kubernetes main", "reach"): "set kubeconfig and context, or run inside it",
        ("host web", "reach"): f"{tmp_path}/nowhere",
    }.items():
        assert words in found[key].message, (key, found[key])
        assert found.pop(key).verdict.is_red, key
    assert found == {}


def test_scanners_that_are_missing_and_what_they_could_not_read_are_named(tmp_path, monkeypatch):
    Programs(tmp_path / "bin", monkeypatch, alone=True)
    folder = {"name": "app", "path": f"{tmp_path}/nowhere"}
    found = checked(
        tmp_path,
        security={
            "filesystems": [folder], "repositories": [folder], "folders": [folder],
            "images": [{"name": "web", "reference": "registry.example/web:1"}, {"name": "db", "archive": "/nowhere"}],
        },
    )  # fmt: skip
    for key, words in {
        ("trivy", "scanner"): "trivy is not on PATH; install it there, or name it in the system file",
        ("gitleaks", "scanner"): "gitleaks is not on PATH; install it there",
        ("trivy fs app", "target"): "is no folder on this host; correct its path",
        ("trivy image db", "target"): "is not there; save the image anew",
        ("gitleaks git app", "target"): "git is not on PATH",
        ("gitleaks dir app", "target"): "is no folder on this host",
    }.items():
        assert words in found[key].message, (key, found[key])
        assert found.pop(key).verdict is Verdict.FAIL, key
    assert found.pop(("trivy image web", "target")).verdict is Verdict.SKIP, "nobody asked the registry"
    assert found == {}


def test_credentials_that_could_not_be_rotated_or_dated_are_named(tmp_path):
    program = {"arguments": ["/nowhere/rotate"]}
    proof = {"kind": "command", "arguments": ["/nowhere/prove"]}
    found = checked(
        tmp_path,
        credentials={
            "entries": [
                {"name": "deploy", "kind": "ssh-key", "max_age_days": 90, "dated_by": f"{tmp_path}/id_ed25519"},
                {"name": "stated", "kind": "api-key", "max_age_days": 90, "rotated_at": "2026-01-01"},
                {"name": "mail", "kind": "api-key", "max_age_days": 90, "command": program, "proof": proof},
            ]
        },
    )
    assert "correct dated_by, or give the right" in found["credential deploy", "reach"].message
    assert found["credential deploy", "reach"].verdict is Verdict.INCOMPLETE
    assert found["credential stated", "reach"].verdict is Verdict.OK
    assert "/nowhere/rotate is no program that can be run" in found["mail", "rotation"].message
    assert found["mail", "rotation"].verdict is Verdict.FAIL
    assert found["credential mail", "reach"].verdict is Verdict.OK, "that it was never rotated is the flow's matter"


def test_a_right_that_a_cluster_withholds_is_named_with_its_rule(tmp_path, api):
    api.faults[f"{RBAC}/roles"] = 403
    kubeconfig = str(api.kubeconfig(tmp_path))
    named = {"capacity": {"clusters": [{"name": "main", "kubeconfig": kubeconfig}]}, "access": {"clusters": ["main"]}}
    seen = checked(tmp_path, **named)["kubernetes main", "reach"]
    assert seen.verdict is Verdict.INCOMPLETE
    assert 'add to its ClusterRole: - {apiGroups: ["rbac.authorization.k8s.io"], resources: [roles]' in seen.message


def test_what_is_there_is_green_whatever_the_flows_will_say_of_it(tmp_path, api):
    """An alert that fires and a certificate that has expired are seen: that is all that is asked here."""
    expired = make("127.0.0.1", last_day=-0.5).write(tmp_path / "shop.pem")
    (tmp_path / "app.log").write_text("all is well\n")
    alerts = '[{"labels": {"alertname": "Down"}, "startsAt": "2026-11-21T14:46:52Z", "status": {"state": "active"}}]'
    with serving(tls(expired)) as port, faulty((200, alerts)) as (url, _):
        found = checked(
            tmp_path,
            log_review={"sources": [{"name": "app", "kind": "application", "files": [f"{tmp_path}/app.log*"]}]},
            security_check={
                "certificates": {"endpoints": [{"host": "127.0.0.1", "port": port}], "files": [f"{tmp_path}/*.pem"]},
                "alertmanager": {"url": url},
            },
        )
    assert {one.verdict for one in found.values()} == {Verdict.OK}, found
    assert len(found) == 4


def test_what_is_not_known_fails_no_check_beside_other_lines_and_passes_none_alone(capsys):
    seen, unknown = (
        result("acme", "reach", verdict, "said", "ls -l /var/log") for verdict in (Verdict.OK, Verdict.SKIP)
    )
    assert _print_checks([seen, unknown])
    assert not _print_checks([unknown])
    assert not _print_checks([])
    assert "SKIP       acme: reach: said; next: ls -l /var/log\n" in capsys.readouterr().out
