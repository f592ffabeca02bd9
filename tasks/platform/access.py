"""The audit of a Kubernetes cluster: who may do what by its roles and bindings, and which of that is dangerous."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from pydantic import Field

from tasks.base.accounts import Account, Look, Rules, Seen, access_finding, findings_of
from tasks.base.capacity import Cluster
from tasks.base.errors import MissingError, RefusedError
from tasks.base.findings import Scan, Severity
from tasks.base.scans import Scanning, as_scan
from tasks.base.system import System
from tasks.base.words import Frozen
from tasks.platform.api import Api, Collection, Json

# Source: Kubernetes' documentation, "Role Based Access Control Good Practices".
RULES: Rules = {
    "everyone": (Severity.CRITICAL, "whoever reaches the API server, or has any account in it, has these rights"),
    "namespace-accounts": (Severity.MEDIUM, "every pod of the namespace has these rights, by any service account"),
    "cluster-admin": (Severity.HIGH, "may do everything in the whole cluster"),
    "wildcard": (Severity.HIGH, "'*' gives rights to things that nobody has thought of yet"),
    "secrets-readable": (
        Severity.HIGH,
        "may read Secrets, tokens and passwords among them; list and watch show them all",
    ),
    "exec": (Severity.HIGH, "may run commands in containers, with all that those hold and may do"),
    "escalate": (Severity.HIGH, "may give itself rights that it does not have: escalate, bind, impersonate"),
    "token": (Severity.HIGH, "may make tokens of service accounts and work as these"),
    "node-proxy": (Severity.HIGH, "reaches the kubelets past admission and audit, and by them every container"),
    "role-missing": (Severity.LOW, "binds a role that is not there: who may make one of that name decides its rights"),
}
_RBAC = {"path": "/apis/rbac.authorization.k8s.io/v1", "group": "rbac.authorization.k8s.io"}
CLUSTER_ROLES, ROLES = Collection(resource="clusterroles", **_RBAC), Collection(resource="roles", **_RBAC)
CLUSTER_BINDINGS = Collection(resource="clusterrolebindings", **_RBAC)
BINDINGS = Collection(resource="rolebindings", **_RBAC)
_EVERYONE = {"system:authenticated", "system:unauthenticated", "system:anonymous", "system:serviceaccounts"}
# What Kubernetes itself lets everybody have.
_FOR_EVERYONE = {
    "system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery",
}  # fmt: skip
_UNUSED = "Kubernetes keeps no record of use; the API server's audit log would tell"
# Resources, verbs and the rule that they fall under. Reading exec is enough: it opens by a GET too.
_POWERS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
    ("secrets-readable", frozenset({"secrets"}), frozenset({"get", "list", "watch"})),
    ("exec", frozenset({"pods/exec", "pods/attach"}), frozenset({"get", "create"})),
    (
        "escalate",
        frozenset(
            {"roles", "clusterroles", "rolebindings", "clusterrolebindings", "users", "groups", "serviceaccounts"}
        ),
        frozenset({"escalate", "bind", "impersonate"}),
    ),
    ("token", frozenset({"serviceaccounts/token"}), frozenset({"create"})),
    ("node-proxy", frozenset({"nodes/proxy"}), frozenset({"get", "create"})),
)
Item = TypeVar("Item")


class Role(Frozen):
    """A role with what its rules let somebody do."""

    namespace: str = Field(description="Empty: a ClusterRole")
    name: str
    powers: tuple[str, ...] = Field(description="Rules of the audit that it falls under, sorted")
    digest: str = Field(description="Changes with its rules, eight digits")


class Binding(Frozen):
    """Who has a role, and where."""

    namespace: str = Field(description="Empty: in the whole cluster")
    name: str
    role: tuple[str, str] = Field(description="Namespace of the role, empty for a ClusterRole, and its name")
    subjects: tuple[tuple[str, str], ...] = Field(description="Kind and name; a service account as NAMESPACE/NAME")
    own: bool = Field(description="Kubernetes made it itself at its start")

    @property
    def place(self) -> str:
        """As a person names it."""
        return f"rolebinding {self.namespace}/{self.name}" if self.namespace else f"clusterrolebinding {self.name}"

    @property
    def where(self) -> str:
        """Where it holds."""
        return f"namespace {self.namespace}" if self.namespace else "the whole cluster"


def audits(system: System) -> list[Scanning]:
    """One audit per cluster that the system file names for it."""
    return [(_scope(one), partial(audit, one)) for one in _clusters(system)]


def looks(system: System) -> list[tuple[str, Look]]:
    """What the review asks of each of these clusters."""
    return [(_scope(one), partial(look, one)) for one in _clusters(system)]


def audit(cluster: Cluster) -> Scan:
    """Read roles and bindings as a scan; what may not be listed makes it incomplete, with the rule that is missing."""
    return as_scan(_scope(cluster), "roles and bindings", lambda: findings_of(look(cluster)))


def look(cluster: Cluster) -> Seen:
    """Everyone whom a binding names, with their rights, and what is dangerous; of all namespaces.

    Raises UnreachableError, ConfigurationError, RefusedError when the cluster does not know this account.
    """
    api, gaps = Api(cluster), []

    def all_of(of: Collection, take: Callable[[Json], Item]) -> list[Item] | None:
        try:
            return api.list(of, take)
        except (RefusedError, MissingError) as error:
            gaps.append(str(error))
            return None

    roles = [all_of(CLUSTER_ROLES, _role), all_of(ROLES, _role)]
    bindings = [*(all_of(CLUSTER_BINDINGS, _binding) or []), *(all_of(BINDINGS, _binding) or [])]
    known = {(role.namespace, role.name): role for found in roles for role in found or []}
    # A role that could not be listed is not a role that is missing.
    listed = {bool(place): found is not None for place, found in zip(("", "namespace"), roles, strict=True)}
    facts = [
        (*fact, binding)
        for binding in bindings
        for subject in binding.subjects
        for fact in _facts(subject, binding, known, listed[bool(binding.role[0])])
    ]
    scope = _scope(cluster)
    return Seen(
        scope=scope,
        accounts=tuple(_accounts(scope, bindings, known)),
        findings=tuple(
            access_finding(RULES, scope, rule, f"{who} by {binding.place}", f"{binding.role[1]} in {binding.where}")
            for rule, who, binding in facts
        ),
        gaps=tuple(gaps),
    )


def _facts(
    subject: tuple[str, str], binding: Binding, roles: dict[tuple[str, str], Role], listed: bool
) -> Iterator[tuple[str, str]]:
    """The rules that a subject of a binding falls under, each with the subject."""
    kind, name = subject
    if _by_kubernetes(subject, binding):
        return
    who = f"{kind} {name}"
    if name in _EVERYONE:
        yield "everyone", who
    if name.startswith("system:serviceaccounts:"):
        yield "namespace-accounts", who
    if not binding.namespace and binding.role == ("", "cluster-admin"):
        yield "cluster-admin", who
        return
    role = roles.get(binding.role)
    if role is None:
        if listed:
            yield "role-missing", who
        return
    for power in role.powers:
        yield power, who


def _accounts(scope: str, bindings: Iterable[Binding], roles: dict[tuple[str, str], Role]) -> Iterator[Account]:
    """A line of the review for each subject, with all that it was given."""
    rights: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for binding in bindings:
        for subject in binding.subjects:
            rights[subject].add(_in_words(binding, roles.get(binding.role)))
    for (kind, name), given in sorted(rights.items()):
        words = tuple(sorted(given))
        yield Account(scope=scope, name=name, kind=kind, rights=words, can_log_in=True, seen_by=_UNUSED)


def _in_words(binding: Binding, role: Role | None) -> str:
    """A right as a person reads it; the digest tells of a role whose rules were changed under its name."""
    if role is None:
        return f"{binding.role[1]} in {binding.where} (its rules are not known)"
    powers = f", {', '.join(role.powers)}" if role.powers else ""
    return f"{binding.role[1]} in {binding.where} (rules {role.digest}{powers})"


def _by_kubernetes(subject: tuple[str, str], binding: Binding) -> bool:
    """True for what every cluster has: its own bindings of its own roles, and the group of its first administrators.

    The label that says so can be written by whoever may make bindings: it counts for Kubernetes' own subjects only.
    """
    kind, name = subject
    by_kubernetes = name.startswith("system:") or (kind == "ServiceAccount" and name.startswith("kube-system/"))
    if not (binding.own and by_kubernetes) or (name in _EVERYONE and binding.role[1] not in _FOR_EVERYONE):
        return False
    return binding.role[1].startswith("system:") or (
        binding.role == ("", "cluster-admin") and subject == ("Group", "system:masters")
    )


def _role(item: Json) -> Role:
    rules, metadata = item.get("rules") or [], item["metadata"]
    powers = {power for rule in rules for power in _powers(rule)}
    return Role(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        powers=tuple(sorted(powers)),
        digest=hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:8],
    )


def _powers(rule: Json) -> Iterator[str]:
    """What one rule of a role allows; `pods/*` and `*/exec` are resources too."""
    resources, verbs = set(rule.get("resources") or ()), set(rule.get("verbs") or ())
    if "*" in verbs or "*" in resources or "*" in (rule.get("apiGroups") or ()):
        yield "wildcard"
    for power, dangerous, by in _POWERS:
        meant = any(_fits(pattern, one) for pattern in resources for one in dangerous)
        if meant and ("*" in verbs or verbs & by):
            yield power


def _fits(pattern: str, resource: str) -> bool:
    """True when a resource of a rule means that one. Only `*` alone and `*/SUBRESOURCE` are wildcards of Kubernetes."""
    if pattern in ("*", resource):
        return True
    return pattern.startswith("*/") and resource.endswith(pattern[1:])


def _binding(item: Json) -> Binding:
    metadata, reference = item["metadata"], item["roleRef"]
    namespace = metadata.get("namespace", "")
    return Binding(
        namespace=namespace,
        name=metadata["name"],
        role=("" if reference["kind"] == "ClusterRole" else namespace, reference["name"]),
        subjects=tuple(_subject(one, namespace) for one in item.get("subjects") or ()),
        own=(metadata.get("labels") or {}).get("kubernetes.io/bootstrapping") == "rbac-defaults",
    )


def _subject(one: Json, namespace: str) -> tuple[str, str]:
    if one["kind"] == "ServiceAccount":
        return "ServiceAccount", f"{one.get('namespace') or namespace}/{one['name']}"
    return one["kind"], one["name"]


def _clusters(system: System) -> list[Cluster]:
    known = {cluster.name: cluster for cluster in system.capacity.clusters}
    return [known[name] for name in system.access.clusters]


def _scope(cluster: Cluster) -> str:
    return f"kubernetes {cluster.name}"
