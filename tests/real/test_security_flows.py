"""The flows that scan, from the system file to the ledger's report."""

import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client

from deployments.demo.certificates import make
from deployments.demo.planted import KEY_ID, SECRET, plant
from deployments.demo.vulnerabilities import ENTRIES, write_database
from flows.security_audit import security_audit
from flows.security_check import security_check
from flows.security_scan import security_scan
from tasks.base.clock import utc_now
from tasks.base.errors import IncompleteError, NightshiftError
from tasks.base.words import Verdict
from tests.real.conftest import change_system


@pytest.fixture
def scanned(system, tmp_path, monkeypatch):
    """The system with a planted folder to scan; the folder."""
    monkeypatch.setenv("PATH", f"{Path(sys.prefix) / 'tools' / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SCAN_KEY", "0123456789abcdef")
    write_database(tmp_path / "vulnerabilities")
    place = tmp_path / "planted"
    plant(place)
    change_system(
        security={
            "offline": True,
            "database": {"folder": str(tmp_path / "vulnerabilities")},
            "secret_key": "env:SCAN_KEY",
            "filesystems": [{"name": "app", "path": str(place)}],
            "folders": [{"name": "app", "path": str(place)}],
        }
    )
    return place


def except_(tmp_path, **entry):
    entry = {"reason": "only in the test", "owner": "ada", "ends": "2099-01-01", **entry}
    (tmp_path / "systems" / "acme.exceptions.yaml").write_text(yaml.safe_dump([entry]))


def statuses(result):
    return {row["rule"]: row["status"] for row in result.rows}


def stored(repository):
    return [path for path in repository.rglob("*") if path.is_file()]


def test_the_ledger_follows_a_finding_from_scan_to_scan(scanned, tmp_path):
    first = security_scan("acme")
    assert first.verdict is Verdict.WARN, first.headline
    assert statuses(first)["CVE-2019-19844"] == "open"
    (scanned / "requirements.txt").write_text("jinja2==3.1.2\n")
    except_(tmp_path, rule="CVE-2024-22195")
    # What was MEDIUM is HIGH from today on.
    write_database(tmp_path / "vulnerabilities", tuple((*one[:2], "HIGH", *one[3:]) for one in ENTRIES))
    second = security_scan("acme")
    rows = {row["rule"]: row for row in second.rows}
    worse = rows["CVE-2024-22195"]
    assert (worse["change"], worse["severity"]) == ("worse", "HIGH")
    seen, due = (datetime.fromisoformat(worse[name]) for name in ("last_seen", "due_at"))
    assert due - seen == timedelta(days=7)
    assert any("1 finding of a higher severity" in check.message for check in second.checks)
    assert (rows["CVE-2019-19844"]["status"], rows["CVE-2024-22195"]["status"]) == ("fixed", "exempt")
    assert rows["CVE-2019-19844"]["first_seen"] == first.rows[0]["first_seen"]
    # No program, nothing known: what is open stays open.
    change_system(security={"trivy": {"path": "/nowhere/trivy"}})
    with pytest.raises(NightshiftError, match="is not at /nowhere/trivy"):
        security_scan("acme")
    change_system(security={"trivy": {}})
    (scanned / "requirements.txt").write_text("django==1.2\n")
    third = {row["rule"]: row for row in security_scan("acme").rows}
    assert (third["CVE-2019-19844"]["status"], third["CVE-2019-19844"]["reopened_count"]) == ("open", 1)
    assert third["CVE-2024-22195"]["status"] == "fixed"


def test_an_overdue_finding_is_red_until_it_is_gone(scanned):
    change_system(security={"deadlines": {"critical_hours": 1e-9}})
    with pytest.raises(NightshiftError, match="findings overdue, first CVE-2019-19844 django in trivy fs app"):
        security_scan("acme")


def test_an_incomplete_scan_is_no_success(scanned, tmp_path):
    write_database(tmp_path / "vulnerabilities", made_at=utc_now() - timedelta(days=30))
    with pytest.raises(IncompleteError, match="the limit is 48 h"):
        security_scan("acme")


def test_no_secret_leaves_the_audit(scanned, system, caplog):
    result = security_audit("acme")
    assert {row["rule"] for row in result.rows} >= {"aws-access-token", "generic-api-key", "aws-access-key-id"}
    with get_client(sync_client=True) as client:
        artifacts = json.dumps([str(artifact.data) for artifact in client.read_artifacts(limit=200)])
    texts = [artifacts, caplog.text, repr(result), *(path.read_bytes().decode("latin-1") for path in stored(system))]
    for text in texts:
        assert SECRET not in text
        assert KEY_ID not in text
    reports = {path.name for path in stored(system) if "reports/security_audit" in str(path)}
    assert reports >= {"report.csv", "report.html", "result.json", "report.sarif", "new.csv", "trend.csv"}


def test_a_system_that_names_nothing_to_scan_is_not_called_clean(system):
    assert security_scan("acme").verdict is Verdict.SKIP


def test_the_daily_check_keeps_what_it_finds_until_it_is_mended(system, tmp_path):
    make("shop.example", last_day=20).write(tmp_path / "shop.pem", with_key=False)
    closed = {"host": "127.0.0.1", "port": 1}
    change_system(
        security_check={"certificates": {"files": [f"{tmp_path}/shop.pem"], "endpoints": [closed]}},
        security={"deadlines": {"medium_hours": 48}},
    )
    with pytest.raises(NightshiftError, match="does not answer"):
        security_check("acme")
    change_system(security_check={"certificates": {"files": [f"{tmp_path}/shop.pem"]}})
    found = security_check("acme")
    assert found.verdict is Verdict.WARN, "what one check cannot see is told by itself alone"
    assert [(row["rule"], row["status"]) for row in found.rows] == [("certificate-expiry", "open")]
    make("shop.example").write(tmp_path / "shop.pem", with_key=False)
    mended = security_check("acme")
    assert (mended.verdict, statuses(mended)) == (Verdict.OK, {"certificate-expiry": "fixed"})
