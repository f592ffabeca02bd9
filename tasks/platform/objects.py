"""Nodes, pods, volumes and claims as the Kubernetes API sends them, reduced to what a sample needs."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from kubernetes.utils import quantity as quantities

Json = dict[str, Any]
_JOB_OF_CRON = re.compile(r"-\d{8,}$")


class Amounts(NamedTuple):
    """Processor in cores, memory in bytes."""

    cpu: float
    memory: float


class Node(NamedTuple):
    """What pods may ask for on a node, in cores, bytes and pods."""

    name: str
    allocatable: Amounts
    pods: float


class Pod(NamedTuple):
    """What a pod asks for; a limit is None when one of its containers has none."""

    namespace: str
    name: str
    workload: str
    node: str
    active: bool
    requests: Amounts
    cpu_limit: float | None
    memory_limit: float | None
    claims: tuple[str, ...]


class Volume(NamedTuple):
    """A persistent volume."""

    name: str
    storage_class: str
    phase: str
    size_bytes: float


class Claim(NamedTuple):
    """A claim of a volume."""

    namespace: str
    name: str
    phase: str
    size_bytes: float


class Usage(NamedTuple):
    """What the metrics API says that a node or pod uses."""

    namespace: str
    name: str
    used: Amounts


@lru_cache(maxsize=4096)
def quantity(text: object) -> float:
    """A quantity such as 250m, 1.5Gi or 2e3 as a number."""
    parse: Any = quantities.parse_quantity  # the client has no types
    return float(parse(str(text)))


def node(item: Json) -> Node:
    """A node; one that is cordoned still holds what runs on it."""
    free = item.get("status", {}).get("allocatable") or {}
    return Node(item["metadata"]["name"], _amounts(free), quantity(free.get("pods", 0)))


def pod(item: Json) -> Pod:
    """A pod; one that has ended asks for nothing."""
    spec, metadata = item.get("spec") or {}, item["metadata"]
    containers = spec.get("containers") or []
    initial = spec.get("initContainers") or []
    limits = [one.get("resources", {}).get("limits") or {} for one in containers]
    claims = [one.get("persistentVolumeClaim") or {} for one in spec.get("volumes") or ()]
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        workload=workload(metadata),
        node=spec.get("nodeName") or "",
        active=(item.get("status") or {}).get("phase") not in ("Succeeded", "Failed"),
        requests=_effective(containers, initial, spec.get("overhead") or {}),
        cpu_limit=_limit(limits, "cpu"),
        memory_limit=_limit(limits, "memory"),
        claims=tuple(one["claimName"] for one in claims if "claimName" in one),
    )


def volume(item: Json) -> Volume:
    """A persistent volume."""
    spec = item.get("spec") or {}
    size = quantity((spec.get("capacity") or {}).get("storage", 0))
    return Volume(item["metadata"]["name"], spec.get("storageClassName") or "", _phase(item), size)


def claim(item: Json) -> Claim:
    """A claim: as large as the volume that it got, or as it asks for."""
    asked = ((item.get("spec") or {}).get("resources") or {}).get("requests") or {}
    got = (item.get("status") or {}).get("capacity") or {}
    size = quantity(got.get("storage") or asked.get("storage", 0))
    return Claim(item["metadata"]["namespace"], item["metadata"]["name"], _phase(item), size)


def node_usage(item: Json) -> Usage:
    """A node of the metrics API."""
    return Usage("", item["metadata"]["name"], _amounts(item.get("usage") or {}))


def pod_usage(item: Json) -> Usage:
    """A pod of the metrics API, its containers together."""
    used = [_amounts(one.get("usage") or {}) for one in item.get("containers") or ()]
    return Usage(item["metadata"]["namespace"], item["metadata"]["name"], _sum(used))


def workload(metadata: Json) -> str:
    """What the pod belongs to, under the name that survives a rollout or the next run: deployment, cron job …"""
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    if owner is None:
        return str(metadata["name"])
    name = str(owner["name"])
    if owner.get("kind") == "ReplicaSet":
        return name.removesuffix(f"-{(metadata.get('labels') or {}).get('pod-template-hash', '')}")
    return _JOB_OF_CRON.sub("", name) if owner.get("kind") == "Job" else name


def _effective(containers: list[Json], initial: list[Json], overhead: Json) -> Amounts:
    """What the scheduler sets aside: the containers and side-cars together, or the largest one that runs before them.

    Source: Kubernetes, "Resource sharing within containers" of init containers, and pod overhead.
    """
    sidecars = [one for one in initial if one.get("restartPolicy") == "Always"]
    together = _sum([_requests(one) for one in [*containers, *sidecars]])
    before = [_requests(one) for one in initial if one not in sidecars]
    extra = _amounts(overhead)
    return Amounts(
        max([together.cpu, *(one.cpu for one in before)]) + extra.cpu,
        max([together.memory, *(one.memory for one in before)]) + extra.memory,
    )


def _requests(container: Json) -> Amounts:
    return _amounts((container.get("resources") or {}).get("requests") or {})


def _limit(limits: list[Json], name: str) -> float | None:
    if not limits or any(name not in one for one in limits):
        return None
    return sum(quantity(one[name]) for one in limits)


def _amounts(found: Json) -> Amounts:
    return Amounts(quantity(found.get("cpu", 0)), quantity(found.get("memory", 0)))


def _sum(found: list[Amounts]) -> Amounts:
    return Amounts(sum(one.cpu for one in found), sum(one.memory for one in found))


def _phase(item: Json) -> str:
    return str((item.get("status") or {}).get("phase") or "")
