"""Roles and bindings of a cluster: what is dangerous is told with who has it, Kubernetes' own defaults are not."""

import pytest

from tasks.base.capacity import Cluster
from tasks.base.findings import ScanState, Severity
from tasks.platform.access import audit, look
from tests.unit.kubernetes_api import KINDS, RBAC, without_roles


@pytest.fixture
def api():
    cluster = without_roles()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(api, tmp_path):
    return Cluster(name="main", kubeconfig=api.kubeconfig(tmp_path), namespaces=("shop",))


def role(name, *rules, namespace=None):
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    keys = ("verbs", "resources", "apiGroups")
    return {"metadata": metadata, "rules": [dict(zip(keys, (*rule, [""])[:3], strict=True)) for rule in rules]}


def binding(name, of, *subjects, namespace=None, own=False, kind="ClusterRole"):
    labels = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}} if own else {}
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | labels
    found = [dict(zip(("kind", "name", "namespace"), one, strict=False)) for one in subjects]
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": of}, "subjects": found}


def fill(api):
    api.put(
        f"{RBAC}/clusterroles",
        [
            role("cluster-admin", (["*"], ["*"], ["*"])),
            role("view", (["get", "list"], ["pods", "services"])),
            role("reads", (["list"], ["secrets"])),
            role("shells", (["get"], ["*/exec"])),
            role("harmless", (["get"], ["pods/*", "pods/log"]), (["update"], ["secrets"])),
            role("system:basic-user", (["create"], ["selfsubjectaccessreviews"])),
            role("system:controller:x", (["*"], ["secrets"])),
        ],
    )
    api.put(
        f"{RBAC}/roles",
        [
            role("own", (["impersonate"], ["users"]), (["create"], ["serviceaccounts/token"]), namespace="shop"),
            role("proxy", (["create"], ["nodes/proxy"]), namespace="far"),
        ],
    )
    api.put(
        f"{RBAC}/clusterrolebindings",
        [
            binding("cluster-admin", "cluster-admin", ("Group", "system:masters"), ("User", "mallory"), own=True),
            binding("system:basic-user", "system:basic-user", ("Group", "system:authenticated"), own=True),
            binding("system:x", "system:controller:x", ("ServiceAccount", "x", "kube-system"), own=True),
            binding("forged", "view", ("Group", "system:unauthenticated"), own=True),
            binding("labelled", "system:controller:x", ("User", "trent"), ("Group", "system:authenticated"), own=True),
            binding("readers", "reads", ("ServiceAccount", "web", "shop"), ("User", "ada")),
            binding("dangling", "gone", ("User", "ada")),
            binding("fine", "harmless", ("User", "ben")),
        ],
    )
    api.put(
        f"{RBAC}/rolebindings",
        [
            binding("shells", "shells", ("ServiceAccount", "web"), namespace="shop"),
            binding("pods", "view", ("Group", "system:serviceaccounts:shop"), namespace="shop"),
            binding("own", "own", ("Group", "operators"), namespace="shop", kind="Role"),
            binding("proxy", "proxy", ("User", "eve"), namespace="far", kind="Role"),
            binding("admin-here", "cluster-admin", ("User", "eve"), namespace="far"),
        ],
    )


def test_dangerous_rights_are_told_with_who_has_them_and_where(api, cluster):
    fill(api)
    seen = look(cluster)
    everything = ("escalate", "exec", "node-proxy", "secrets-readable", "token", "wildcard")
    assert {(one.rule, one.location.split(" (")[0]) for one in seen.findings} == {
        ("cluster-admin", "User mallory by clusterrolebinding cluster-admin"),
        ("everyone", "Group system:unauthenticated by clusterrolebinding forged"),
        ("secrets-readable", "User trent by clusterrolebinding labelled"),
        ("wildcard", "User trent by clusterrolebinding labelled"),
        *(
            (rule, "Group system:authenticated by clusterrolebinding labelled")
            for rule in ("everyone", "secrets-readable", "wildcard")
        ),
        ("namespace-accounts", "Group system:serviceaccounts:shop by rolebinding shop/pods"),
        ("secrets-readable", "ServiceAccount shop/web by clusterrolebinding readers"),
        ("secrets-readable", "User ada by clusterrolebinding readers"),
        ("role-missing", "User ada by clusterrolebinding dangling"),
        ("exec", "ServiceAccount shop/web by rolebinding shop/shells"),
        ("escalate", "Group operators by rolebinding shop/own"),
        ("token", "Group operators by rolebinding shop/own"),
        ("node-proxy", "User eve by rolebinding far/proxy"),
        *((rule, "User eve by rolebinding far/admin-here") for rule in everything),
    }
    assert next(one for one in seen.findings if one.rule == "everyone").severity is Severity.CRITICAL
    rights = {one.name: " | ".join(one.rights) for one in seen.accounts}
    assert set(rights) == {
        "system:masters", "mallory", "system:authenticated", "kube-system/x", "system:unauthenticated", "shop/web",
        "ada", "ben", "operators", "eve", "trent", "system:serviceaccounts:shop",
    }  # fmt: skip
    assert "reads in the whole cluster (rules " in rights["shop/web"]
    assert "shells in namespace shop (rules " in rights["shop/web"]
    assert seen.gaps == ()


def test_a_role_that_is_changed_under_its_name_changes_the_right(api, cluster):
    fill(api)
    before = next(one for one in look(cluster).accounts if one.name == "ben").rights
    api.put(f"{RBAC}/clusterroles", [role("harmless", (["get"], ["configmaps"]))])
    assert next(one for one in look(cluster).accounts if one.name == "ben").rights != before


def test_every_page_of_bindings_is_read(api, cluster):
    fill(api)
    many = [binding(f"b{number}", "reads", ("User", f"u{number}")) for number in range(1200)]
    api.put(f"{RBAC}/clusterrolebindings", many)
    assert (
        len([one for one in look(cluster).findings if one.rule == "secrets-readable" and "User u" in one.location])
        == 1200
    )
    assert len([path for path, _ in api.requests if path == f"{RBAC}/clusterrolebindings"]) == 3


def test_what_may_not_be_listed_makes_the_audit_incomplete_with_the_missing_rule(api, cluster):
    fill(api)
    api.faults[f"{RBAC}/clusterroles"] = 403
    scan = audit(cluster)
    assert scan.state is ScanState.INCOMPLETE
    assert '- {apiGroups: ["rbac.authorization.k8s.io"], resources: [clusterroles], verbs: [list]}' in scan.reason
    rules = {one.rule for one in scan.findings}
    assert rules >= {"cluster-admin", "everyone", "node-proxy"}, "what was seen is told"
    assert "role-missing" not in rules, "a role that was not listed is not called missing"
    api.faults = dict.fromkeys((f"{RBAC}/{kind}" for kind in KINDS), 403)
    assert audit(cluster).reason.count("verbs: [list]") == 4
    api.faults = {f"{RBAC}/clusterroles": 500}
    assert audit(cluster).state is ScanState.FAILED
