"""The review of pods' logs by the API of their cluster: what is read, and what is told of what could not be."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from tasks.base.errors import MissingError, RefusedError
from tasks.base.findings import ScanState
from tasks.base.system import System
from tasks.platform import pod_logs
from tests.unit.kubernetes_api import CORE, FakeCluster
from tests.unit.log_reviewing import review_at

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
PODS, LOG = f"{CORE}/namespaces/shop/pods", f"{CORE}/namespaces/shop/pods/web-1/log"
OLD = "2026-11-10T00:00:00Z"


@pytest.fixture
def api():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def review(api, tmp_path, monkeypatch):
    """The review of the pods with app=web at a moment, by default of the last 24 hours."""

    def run(now=NOW, **pods):
        source = {"name": "web", "kind": "application", "pods": {"cluster": "main", "namespace": "shop", **pods}}
        system = system_of(source, tmp_path, api.kubeconfig(tmp_path))
        return review_at(monkeypatch, system, now, "security_check", f"run{now}")

    return run


def system_of(source, folder, kubeconfig="/nonexistent"):
    return System.model_validate(
        {
            "name": "acme",
            "databases": [{"name": "shop", "dsn": "service=shop"}],
            "repository": {"url": f"file://{folder}/repository"},
            "capacity": {"clusters": [{"name": "main", "kubeconfig": str(kubeconfig), "deadline_seconds": 100}]},
            "log_review": {"sources": [source]},
        }
    )


def pod(name="web-1", app="web", began=OLD, state="running", restarts=0, former=None):
    """A pod of one container."""
    states = {"running": {"startedAt": began}, "waiting": {"reason": "CrashLoopBackOff"}}
    told = {"name": "main", "restartCount": restarts, "state": {state: states[state]}}
    if former:
        told["lastState"] = {"terminated": dict(zip(("startedAt", "finishedAt"), former, strict=True))}
    metadata = {"name": name, "namespace": "shop", "labels": {"app": app}, "creationTimestamp": began}
    return {"metadata": metadata, "status": {"containerStatuses": [told]}}


def said(scan, name="log"):
    return [(str(check.verdict), check.message) for check in scan.checks if check.name == name]


EARLY, ERROR = (OLD, "hello"), ("2026-11-21T03:00:00.123456789Z", "ERROR out of paper")


def test_what_the_chosen_pods_wrote_since_the_last_review_is_read_once(api, review):
    api.put(PODS, [pod(), pod("web-2"), pod("db-1", app="db")])
    api.log("web-1", "main", EARLY, ERROR, ("2026-11-21T04:00:00Z", "Failed login for user ada from 203.0.113.9"))
    api.log("web-2", "main", EARLY, ERROR, ("2026-11-21T09:00:00Z", "ERROR later"))
    api.log("db-1", "main", EARLY, ERROR)
    scan = review(selector="app=web")
    assert said(scan) == [("OK", "3 lines since 2026-11-20T07:55:00Z, in 2 files")]
    assert said(scan, "errors")[0][1].startswith("2 errors of 1 kinds")
    assert said(scan, "failed logins")[0][1].startswith("1 failed logins of 1 users from 1 sources; 1 from 203.0.113.9")
    assert scan.state is ScanState.CLEAN
    assert said(review(NOW + timedelta(hours=24), selector="app=web"))[0][1].startswith(
        "1 lines since 2026-11-21T07:55"
    )


def test_the_log_of_a_container_before_its_restart_is_read_too(api, review):
    former = ("2026-11-20T00:00:00Z", "2026-11-21T03:00:01Z")
    api.put(PODS, [pod(restarts=1, former=former), pod("web-2", state="waiting", restarts=9, former=former)])
    api.log("web-1", "main", (OLD, "begins"), ("2026-11-21T03:00:02Z", "ERROR again"))
    api.log("web-1", "main", ERROR, former=True)
    # What waits for its next start has one log, that of its last run.
    api.log("web-2", "main", (OLD, "begins"), ERROR)
    assert said(review()) == [("OK", "3 lines since 2026-11-20T07:55:00Z, in 3 files")]


@pytest.mark.parametrize(
    ("path", "fault", "reason"),
    [
        (PODS, 503, "cluster 'main' answered 503 for pods: a reason; try again later"),
        (PODS, 403, "does not let this account list pods; add to its ClusterRole"),
        (LOG, 403, 'get pods/log; add to its ClusterRole: - {apiGroups: [""], resources: [pods/log], verbs: [get]}'),
        (LOG, "cuts", "does not answer: "),
    ],
)
def test_a_cluster_that_gives_nothing_is_not_known_and_its_lines_are_reviewed_later(api, review, path, fault, reason):
    api.put(PODS, [pod()])
    api.log("web-1", "main", EARLY, ERROR)
    api.faults[path] = fault
    scan = review()
    ((verdict, message),) = said(scan)
    assert (scan.state, verdict, message[:10]) == (ScanState.INCOMPLETE, "SKIP", "not known:")
    assert reason in message
    assert scan.checks[0].next_command == "kubectl -n shop logs -l '!none' --all-containers --timestamps --tail=3"
    api.faults.clear()
    assert said(review(NOW + timedelta(days=2))) == [("OK", "1 lines since 2026-11-20T07:55:00Z, in 1 files")]


def test_of_a_part_that_cannot_be_read_the_rest_is_told_and_nothing_is_called_whole(api, review):
    api.put(PODS, [pod("web-0"), pod()])
    api.log("web-0", "main", EARLY, ERROR)
    api.log("web-1", "main", EARLY, *[("2026-11-21T03:00:00Z", f"line {n} {'x' * 80}") for n in range(99)])
    api.faults[LOG] = 500
    scan = review()
    assert scan.state is ScanState.INCOMPLETE
    assert said(scan)[0][0] == "INCOMPLETE"
    assert "container main of pod web-1: cluster 'main' answered 500 for pods/log" in said(scan)[0][1]
    assert said(scan, "errors")[0][1].startswith("1 errors")
    api.faults[LOG] = "cuts"
    assert said(review())[0][1].startswith("container main of pod web-1: cluster 'main' at ")
    api.faults.clear()
    ((verdict, message),) = said(review(limit_bytes=2000))
    assert verdict == "INCOMPLETE"
    assert "pod web-1 wrote 2000 bytes or more since 2026-11-20T07:55:00Z, and the rest was not read" in message
    assert said(review()) == [("OK", "100 lines since 2026-11-20T07:55:00Z, in 2 files")]


def test_what_the_cluster_no_longer_has_is_told_once(api, review):
    begun = "2026-11-20T20:00:00Z"
    api.put(PODS, [pod(began=begun, restarts=5, former=("2026-11-20T20:00:00Z", "2026-11-20T21:00:00Z"))])
    api.log("web-1", "main", ("2026-11-21T06:00:00Z", "ERROR first that is left"))
    api.log("web-1", "main", ("2026-11-20T20:30:00Z", "hello"), former=True)
    scan = review()
    assert [verdict for verdict, _ in said(scan, "lost lines")] == ["WARN"] * 3
    gone, restarted, rotated = (message for _, message in said(scan, "lost lines"))
    assert gone.endswith("is older than 2026-11-20T20:00:00Z: what ran before took its log along")
    assert "restarted 5 times" in restarted
    assert "begins at 2026-11-21T06:00:00Z" in rotated
    assert said(scan) == [("OK", "2 lines since 2026-11-20T07:55:00Z, in 2 files")]
    assert not said(review(NOW + timedelta(days=1)), "lost lines")


def test_a_line_without_an_end_is_counted_and_takes_no_other_with_it(api, review):
    api.put(PODS, [pod()])
    api.log("web-1", "main", EARLY, ("2026-11-21T02:00:00Z", "x" * 3 * 1024**2), ERROR)
    scan = review()
    assert said(scan) == [("OK", "1 lines since 2026-11-20T07:55:00Z, in 1 files")]
    assert "1 longer than 1 MiB" in said(scan, "unreadable lines")[0][1]


def test_a_cluster_that_is_not_there_is_not_known(api, review):
    api.close()
    ((verdict, message),) = said(review())
    assert verdict == "SKIP"
    assert "look whether it is reachable from here" in message


def test_pods_without_a_log_are_not_good(api, review):
    api.put(PODS, [])
    ((verdict, message),) = said(review(selector="app=web"))
    assert verdict == "SKIP"
    assert message == "not known: none of the pods with app=web of namespace shop in cluster 'main' has a log"


def test_the_check_reads_the_beginning_of_one_log(api, tmp_path):
    source = {"name": "web", "kind": "application", "pods": {"cluster": "main", "namespace": "shop"}}
    system = system_of(source, tmp_path, api.kubeconfig(tmp_path))
    pods = system.log_review.sources[0].pods
    api.put(PODS, [pod(), pod("web-2")])
    api.log("web-1", "main", EARLY)
    assert pod_logs.reach(system, pods) == "2 containers have a log, that of container main of pod web-1 can be read"
    api.faults[LOG] = 403
    with pytest.raises(RefusedError, match="get pods/log"):
        pod_logs.reach(system, pods)
    api.put(PODS, [])
    with pytest.raises(MissingError, match="correct its selector: kubectl -n shop get pods --show-labels"):
        pod_logs.reach(system, pods)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "needs either 'files' or 'pods'"),
        ({"files": ["/a"], "pods": {"cluster": "main", "namespace": "shop"}}, "needs either 'files' or 'pods'"),
        ({"container": "cri", "pods": {"cluster": "main", "namespace": "shop"}}, "'container' is of files"),
        ({"pods": {"cluster": "other", "namespace": "shop"}}, "log_review names none of capacity.clusters: other"),
    ],
)
def test_a_source_names_one_place_that_is_there(tmp_path, changes, reason):
    with pytest.raises(ValidationError, match=reason):
        system_of({"name": "web", "kind": "application", **changes}, tmp_path)
