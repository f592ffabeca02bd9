"""What a Kubernetes cluster has, what its pods ask for, what they use, and which volumes nobody uses."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tasks.base.capacity import Cluster
from tasks.base.errors import MissingError, NightshiftError, RefusedError, UnreachableError
from tasks.base.samples import Sample, Sampled, sampled
from tasks.base.words import CheckResult, Verdict
from tasks.platform import objects
from tasks.platform.api import Api, Collection, Json
from tasks.platform.objects import Amounts, Claim, Node, Pod, Usage, Volume

NODES, PODS = Collection(resource="nodes"), Collection(resource="pods")
VOLUMES, CLAIMS = Collection(resource="persistentvolumes"), Collection(resource="persistentvolumeclaims")
_METRICS = {"path": "/apis/metrics.k8s.io/v1beta1", "group": "metrics.k8s.io"}
NODE_METRICS, POD_METRICS = Collection(resource="nodes", **_METRICS), Collection(resource="pods", **_METRICS)
_INSTALL = "install metrics-server, without which 'kubectl top' knows nothing either"
Item = TypeVar("Item")


def sample_cluster(cluster: Cluster) -> Sampled:
    """Everything that this account may read, within the cluster's deadline; what it may not is SKIP with the rule.

    Raises UnreachableError when nothing could be read, ConfigurationError.
    """
    reading = _Reading(cluster)
    nodes = reading.all_of(NODES, objects.node)
    pods = reading.namespaced(PODS, objects.pod)
    volumes = reading.all_of(VOLUMES, objects.volume)
    claims = reading.namespaced(CLAIMS, objects.claim)
    node_usage = reading.all_of(NODE_METRICS, objects.node_usage)
    pod_usage = reading.namespaced(POD_METRICS, objects.pod_usage)
    running = None if pods is None else [pod for pod in pods if pod.active]
    samples = [
        *_nodes(cluster, nodes, None if cluster.namespaces else running, node_usage),
        *_workloads(cluster, running, pod_usage),
        *_volumes(cluster, volumes or []),
        *_claims(cluster, claims or [], running),
    ]
    return sampled(cluster.name, samples, reading.checks)


class _Reading:
    """One reading of a cluster: what was refused, and what was found."""

    def __init__(self, cluster: Cluster) -> None:
        self.checks: list[CheckResult] = []
        self._api, self._cluster, self._answered = Api(cluster), cluster, False

    def all_of(self, of: Collection, take: Callable[[Json], Item]) -> list[Item] | None:
        """The objects of the whole cluster; None when they are not known."""
        return self._read(of, lambda: self._api.list(of, take))

    def namespaced(self, of: Collection, take: Callable[[Json], Item]) -> list[Item] | None:
        """The objects of the namespaces that the system file names, or of all."""
        names = self._cluster.namespaces or ("",)
        return self._read(of, lambda: [one for name in names for one in self._api.list(of, take, name)])

    def _read(self, of: Collection, read: Callable[[], list[Item]]) -> list[Item] | None:
        try:
            found = read()
        except NightshiftError as error:
            # Of a cluster of which nothing answers all is tried again; a part that fails does not take the others.
            if not isinstance(error, RefusedError | MissingError | UnreachableError) or not (
                self._answered or isinstance(error, RefusedError)
            ):
                raise
            self._missed(of, error)
            return None
        self._answered = True
        return found

    def _missed(self, of: Collection, error: NightshiftError) -> None:
        no_metrics = of.group == "metrics.k8s.io" and (isinstance(error, MissingError) or "answered 503" in str(error))
        message = f"{error}; {_INSTALL}" if no_metrics else str(error)
        verdict = Verdict.SKIP if no_metrics or isinstance(error, RefusedError) else Verdict.FAIL
        name = f"{of.resource} in use" if of.group else of.resource
        self.checks.append(CheckResult(name=name, target=self._cluster.name, verdict=verdict, message=message))


def _nodes(
    cluster: Cluster, nodes: list[Node] | None, pods: list[Pod] | None, usage: list[Usage] | None
) -> Iterator[Sample]:
    """What the nodes can give, what was asked of them and what is used, together and of the largest ones each."""
    asked: dict[str, list[Amounts]] = defaultdict(list)
    for pod in pods or []:
        asked[pod.node].append(pod.requests)
    used = {one.name: one.used for one in usage or []}
    largest = sorted(nodes or [], key=lambda node: (-node.allocatable.memory, node.name))[: cluster.named]
    for node in largest:
        name = f"{cluster.name}/{node.name}"
        if pods is not None:
            yield from _asked("node", name, asked[node.name], node.allocatable, node.pods)
        if node.name in used:
            yield from _used("node", name, used[node.name], node.allocatable.cpu, node.allocatable.memory)
    whole = _total(node.allocatable for node in nodes) if nodes is not None else None
    if pods is not None:
        slots = None if nodes is None else sum(node.pods for node in nodes)
        yield from _asked("cluster", cluster.name, [pod.requests for pod in pods], whole, slots)
    if usage is not None:
        limits = (whole.cpu, whole.memory) if whole else (None, None)
        yield from _used("cluster", cluster.name, _total(used.values()), *limits)


def _workloads(cluster: Cluster, pods: list[Pod] | None, usage: list[Usage] | None) -> Iterator[Sample]:
    """What each namespace, and each of the largest workloads, asks for and uses."""
    used = {(one.namespace, one.name): one.used for one in usage or []}
    by_workload: dict[tuple[str, str], list[Pod]] = defaultdict(list)
    by_namespace: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods or []:
        by_workload[pod.namespace, pod.workload].append(pod)
        by_namespace[pod.namespace].append(pod)
    weights = {key: sum(pod.requests.memory for pod in found) for key, found in by_workload.items()}
    largest = sorted(by_workload, key=lambda key: (-weights[key], key))[: cluster.named]
    groups = [("workload", f"{cluster.name}/{space}/{name}", by_workload[space, name]) for space, name in largest]
    groups += [("namespace", f"{cluster.name}/{space}", found) for space, found in sorted(by_namespace.items())]
    for kind, name, found in groups:
        yield from _asked(kind, name, [pod.requests for pod in found], None, None)
        measured = [used[pod.namespace, pod.name] for pod in found if (pod.namespace, pod.name) in used]
        if measured:
            limits = (_sum_of(pod.cpu_limit for pod in found), _sum_of(pod.memory_limit for pod in found))
            yield from _used(kind, name, _total(measured), *limits)


def _volumes(cluster: Cluster, volumes: list[Volume]) -> Iterator[Sample]:
    """Bytes that are provisioned, by storage class and of the largest ones each, and those bound to no claim."""
    classes: dict[str, float] = defaultdict(float)
    for volume in volumes:
        classes[volume.storage_class or "(none)"] += volume.size_bytes
    for name, size in sorted(classes.items()):
        yield _bytes("volumes", f"{cluster.name}/{name}", size)
    for volume in sorted(volumes, key=lambda one: (-one.size_bytes, one.name))[: cluster.named]:
        kind = "volume provisioned" if volume.phase == "Bound" else "volume unbound"
        yield _bytes(kind, f"{cluster.name}/{volume.name}", volume.size_bytes)


def _claims(cluster: Cluster, claims: list[Claim], pods: list[Pod] | None) -> Iterator[Sample]:
    """Claims that got no volume, and claims whose volume no pod mounts; each is told, they are few."""
    mounted = {(pod.namespace, name) for pod in pods or [] for name in pod.claims}
    spaces: dict[str, float] = defaultdict(float)
    for claim in claims:
        spaces[claim.namespace] += claim.size_bytes
        name = f"{cluster.name}/{claim.namespace}/{claim.name}"
        if claim.phase != "Bound":
            yield _bytes("claim unbound", name, claim.size_bytes)
        elif pods is not None and (claim.namespace, claim.name) not in mounted:
            yield _bytes("claim unused", name, claim.size_bytes)
    for space, size in sorted(spaces.items()):
        yield _bytes("claims", f"{cluster.name}/{space}", size)


def _asked(
    kind: str, name: str, requests: list[Amounts], capacity: Amounts | None, slots: float | None
) -> Iterator[Sample]:
    asked = _total(requests)
    cpu, memory = (None, None) if capacity is None else (capacity.cpu, capacity.memory)
    yield Sample(kind=f"{kind} cpu requests", resource=name, unit="cores", used=asked.cpu, capacity=cpu)
    yield Sample(kind=f"{kind} memory requests", resource=name, unit="bytes", used=asked.memory, capacity=memory)
    yield Sample(kind=f"{kind} pods", resource=name, unit="count", used=len(requests), capacity=slots)


def _used(kind: str, name: str, used: Amounts, cpu: float | None, memory: float | None) -> Iterator[Sample]:
    yield Sample(kind=f"{kind} cpu", resource=name, unit="cores", used=used.cpu, capacity=cpu)
    yield Sample(kind=f"{kind} memory", resource=name, unit="bytes", used=used.memory, capacity=memory)


def _bytes(kind: str, name: str, size: float) -> Sample:
    return Sample(kind=kind, resource=name, unit="bytes", used=size)


def _total(amounts: Iterable[Amounts]) -> Amounts:
    found = list(amounts)
    return Amounts(sum(one.cpu for one in found), sum(one.memory for one in found))


def _sum_of(limits: Iterable[float | None]) -> float | None:
    """The sum; None when one of them has no limit."""
    found = list(limits)
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == len(found) else None
