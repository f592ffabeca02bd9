"""Reading a Kubernetes API: right sums over many pages, a name for what is missing, one deadline whatever happens."""

import tracemalloc

import pytest

from tasks.base.capacity import Cluster
from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, UnreachableError
from tasks.base.words import Verdict
from tasks.platform import objects
from tasks.platform.cluster import sample_cluster
from tests.unit.kubernetes_api import CORE, METRICS, FakeCluster, claim, node, pod, volume

GIB = 2**30
SMALL = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


@pytest.fixture
def api():
    cluster = FakeCluster()
    for path in (
        f"{CORE}/nodes", f"{CORE}/pods", f"{CORE}/persistentvolumes", f"{CORE}/persistentvolumeclaims",
        f"{METRICS}/nodes", f"{METRICS}/pods",
    ):  # fmt: skip
        cluster.put(path, [])
    yield cluster
    cluster.close()


@pytest.fixture
def sample(api, tmp_path):
    def run(**changes):
        found = sample_cluster(Cluster(name="main", kubeconfig=api.kubeconfig(tmp_path), **changes))
        return {(one.kind, one.resource): one for one in found.samples}, found.checks

    return run


def fill(api):
    """Two nodes, a deployment of two pods, a job that has ended, volumes and claims of every state."""
    api.put(f"{CORE}/nodes", [node("n0"), node("n1", memory="8388608Ki")])
    web = ("ReplicaSet", "web-5d4f8c7b9", "5d4f8c7b9")
    api.put(
        f"{CORE}/pods",
        [
            pod("web-5d4f8c7b9-a", owner=web, claims=["data"], **SMALL),
            pod("web-5d4f8c7b9-b", owner=web, node="n1", **SMALL),
            pod("report-29001-x", owner=("Job", "report-29001440", ""), phase="Succeeded", claims=["old"], **SMALL),
            pod("lonely", namespace="other", node="n1"),
        ],
    )
    api.put(f"{CORE}/persistentvolumes", [volume("v1"), volume("v2", "Released", "20Gi"), volume("v3", size="5G")])
    api.put(f"{CORE}/persistentvolumeclaims", [claim("data"), claim("old"), claim("wanted", phase="Pending")])
    api.put(f"{METRICS}/nodes", [{"metadata": {"name": "n0"}, "usage": {"cpu": "1500m", "memory": "4Gi"}}])
    usage = {"containers": [{"usage": {"cpu": "100000000n", "memory": "100Mi"}}, {"usage": {"cpu": "0"}}]}
    api.put(
        f"{METRICS}/pods",
        [{"metadata": {"name": f"web-5d4f8c7b9-{one}", "namespace": "shop"}, **usage} for one in "ab"],
    )


def test_what_is_asked_for_used_and_left_lying(api, sample):
    fill(api)
    found, checks = sample()
    assert [check.verdict for check in checks] == [Verdict.OK]

    def figures(kind, resource):
        one = found[kind, resource]
        return one.used, one.capacity

    assert figures("cluster cpu requests", "main") == (0.5, 8)
    assert figures("cluster memory requests", "main") == (GIB, 24 * GIB)
    assert figures("cluster pods", "main") == (3, 220)
    assert figures("cluster cpu", "main") == (1.5, 8)
    assert figures("node memory requests", "main/n1") == (GIB / 2, 8 * GIB)
    assert figures("node memory", "main/n0") == (4 * GIB, 16 * GIB)
    assert ("node memory", "main/n1") not in found  # the metrics API does not know it yet
    # The deployment's name outlives its rollouts. A container without a limit has none, and so has its pod.
    assert figures("workload cpu requests", "main/shop/web") == (0.5, None)
    assert figures("workload cpu", "main/shop/web") == (pytest.approx(0.2), None)
    assert figures("namespace pods", "main/shop") == (2, None)
    assert figures("volumes", "main/fast") == (30 * GIB + 5e9, None)
    assert {key for key in found if key[0] in ("volume unbound", "claim unbound", "claim unused")} == {
        ("volume unbound", "main/v2"), ("claim unbound", "main/shop/wanted"), ("claim unused", "main/shop/old"),
    }  # fmt: skip


def test_a_thousand_nodes_and_ten_thousand_pods_sum_up_in_the_memory_of_a_page(api, sample):
    api.put(f"{CORE}/nodes", [node(f"n{number}") for number in range(1000)])
    owner = ("ReplicaSet", "web-1", "1")
    pods = [
        pod(f"web-{number}", f"space-{number % 20}", f"n{number % 1000}", owner, padding=4000, **SMALL)
        for number in range(10_000)
    ]
    api.put(f"{CORE}/pods", pods)
    assert sum(map(len, api.items[f"{CORE}/pods"])) > 40e6
    del pods
    objects.quantity.cache_clear()
    tracemalloc.start()
    found, checks = sample(named=10, deadline_seconds=280)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [check.verdict for check in checks] == [Verdict.OK]
    assert found["cluster cpu requests", "main"].used == 2500
    assert found["cluster memory requests", "main"].capacity == 16000 * GIB
    assert found["cluster pods", "main"].used == 10_000
    assert sum(one.used for (kind, _), one in found.items() if kind == "namespace pods") == 10_000
    assert len([kind for kind, _ in found if kind == "node pods"]) == 10
    assert len([path for path, _ in api.requests if path == f"{CORE}/pods"]) == 20
    # Two pages at the most: the one that is parsed, and what the server of this test holds of it.
    assert peak < 30e6


def test_a_listing_that_expires_begins_again_and_counts_nothing_twice(api, sample):
    fill(api)
    api.put(f"{CORE}/pods", [pod(f"p{number}", **SMALL) for number in range(1200)])
    expired = iter([True, True])

    def expires(query):
        return 410 if query.get("continue") == ["1000"] and next(expired, False) else None

    api.faults[f"{CORE}/pods"] = expires
    found, _ = sample()
    assert found["cluster pods", "main"].used == 1200
    api.faults[f"{CORE}/pods"] = lambda query: 410 if "continue" in query else None
    found, checks = sample()
    assert ("cluster pods", "main") not in found
    (check,) = checks
    assert (check.verdict, check.name) == (Verdict.FAIL, "pods")
    assert "expire 5 times" in check.message


def test_what_may_not_be_listed_is_skipped_with_the_rule_and_the_rest_is_there(api, sample):
    fill(api)
    api.faults |= {f"{CORE}/nodes": 403, f"{METRICS}/pods": 403}
    found, checks = sample()
    assert {check.verdict for check in checks} == {Verdict.SKIP}
    said = {check.name: check.message for check in checks}
    assert '- {apiGroups: [""], resources: [nodes], verbs: [list]}' in said["nodes"]
    assert '- {apiGroups: ["metrics.k8s.io"], resources: [pods], verbs: [list]}' in said["pods in use"]
    assert (found["cluster pods", "main"].used, found["cluster pods", "main"].capacity) == (3, None)
    api.faults = dict.fromkeys(api.items, 403)
    found, checks = sample()
    assert (found, len(checks)) == ({}, 6)


@pytest.mark.parametrize("missing", ["no such API", 503])
def test_without_a_metrics_api_what_is_used_is_skipped_and_never_zero(api, sample, missing):
    fill(api)
    for path in (f"{METRICS}/nodes", f"{METRICS}/pods"):
        if missing == 503:
            api.faults[path] = missing
        else:
            del api.items[path]
    found, checks = sample()
    assert [(check.name, check.verdict) for check in checks] == [
        ("nodes in use", Verdict.SKIP), ("pods in use", Verdict.SKIP),
    ]  # fmt: skip
    assert all("install metrics-server" in check.message for check in checks)
    assert not [key for key in found if key[0] in ("cluster cpu", "cluster memory", "node cpu", "workload memory")]
    assert found["cluster cpu requests", "main"].used == 0.5


def test_only_the_named_namespaces_are_read_and_no_sum_of_the_cluster_is_made_of_them(api, sample):
    fill(api)
    for space in ("shop", "shop-blue"):
        api.put(f"{CORE}/namespaces/{space}/pods", [pod(f"one-{space}", space, **SMALL)])
        api.put(f"{CORE}/namespaces/{space}/persistentvolumeclaims", [])
        api.put(f"{METRICS}/namespaces/{space}/pods", [])
    found, _ = sample(namespaces=("shop", "shop-blue"))
    assert {name for kind, name in found if kind == "namespace pods"} == {"main/shop", "main/shop-blue"}
    assert ("cluster pods", "main") not in found
    assert not [path for path, _ in api.requests if path == f"{CORE}/pods"]


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_a_server_that_hangs_costs_one_deadline_and_keeps_what_was_read_before(api, sample, fault):
    fill(api)
    api.faults |= {f"{CORE}/persistentvolumes": fault, f"{METRICS}/nodes": fault}
    # A slow machine needs more of it for what comes before the fault.
    for seconds in (1, 6, 36):
        elapsed = stopwatch()
        found, checks = sample(deadline_seconds=seconds)
        if ("cluster pods", "main") in found:
            break
    assert elapsed() < 100
    assert found["cluster pods", "main"].used == 3
    assert {check.verdict for check in checks} == {Verdict.FAIL}
    assert f"was not read within {seconds} s" in checks[0].message


def test_a_cluster_of_which_nothing_answers_is_asked_again_later(api, sample, tmp_path):
    api.faults[f"{CORE}/nodes"] = "hangs"
    with pytest.raises(UnreachableError, match=r"was not read within 0\.5 s"):
        sample(deadline_seconds=0.5)
    api.faults[f"{CORE}/nodes"] = "cuts"
    with pytest.raises(UnreachableError):
        sample()
    api.faults[f"{CORE}/nodes"] = 500
    with pytest.raises(UnreachableError, match="answered 500 for nodes: a reason"):
        sample()
    api.close()
    with pytest.raises(UnreachableError, match="does not answer"):
        sample()


def test_a_kubeconfig_that_is_wrong_is_one_sentence_without_what_is_in_it(api, tmp_path):
    path = api.kubeconfig(tmp_path)
    for changes, message in (
        ({"context": "other"}, "other"),
        ({"kubeconfig": tmp_path / "nowhere"}, "set kubeconfig and context"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            sample_cluster(Cluster(**{"name": "main", "kubeconfig": path} | changes))
    path.write_text("token: [planted-cluster-token")
    with pytest.raises(ConfigurationError, match="is no YAML") as error:
        sample_cluster(Cluster(name="main", kubeconfig=path))
    assert "planted" not in str(error.value)


def test_requests_are_what_the_scheduler_sets_aside():
    one = {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    sidecar = {**one, "restartPolicy": "Always"}
    before = {"resources": {"requests": {"cpu": "5", "memory": "100Mi"}}}
    spec = {"containers": [one, one], "initContainers": [before, sidecar], "overhead": {"cpu": "250m"}}
    found = objects.pod({"metadata": {"name": "p"}, "spec": spec})
    assert found.requests == (5.25, 3 * GIB)
    assert objects.quantity("1.5Gi") == 1.5 * GIB
    assert objects.quantity("2e3") == 2000
    owner = {"kind": "Job", "name": "report-29001440", "controller": True}
    assert objects.workload({"name": "report-29001440-abc", "ownerReferences": [owner]}) == "report"
