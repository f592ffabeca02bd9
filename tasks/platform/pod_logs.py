"""The logs of pods by the API of their cluster, with bounded size; what it no longer has is told.

The API has less than was written: of a container its newest file and that of the one before it, which the kubelet
rotates (containerLogMaxSize), and nothing of pods that are gone. Source: Kubernetes' documentation, "Logging
Architecture".
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from tasks.base.capacity import Cluster
from tasks.base.clock import iso
from tasks.base.errors import MissingError, RefusedError, UnreachableError
from tasks.base.log_review import PodLogs
from tasks.base.pod_logs import Fetch, FetchedLogs
from tasks.base.system import System
from tasks.base.words import Frozen
from tasks.platform.api import Api, Collection, Json
from tasks.platform.cluster import PODS

LOGS = Collection(resource="pods/log", verb="get")
# The time that the API puts before each line, and CRI's words behind it.
_TIMED = re.compile(rb"^(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) ", re.MULTILINE)
_AS_CRI = rb"\1 stdout F "
_HEAD_BYTES, _LONGEST = 64, 1024**2
# A container may need so long for its first line.
_START = timedelta(minutes=5)


class Container(Frozen):
    """A container of a pod that has run."""

    pod: str
    pod_began: datetime
    name: str
    began: datetime
    restarts: int
    # Of the one before it, when the API has its log as well.
    former_began: datetime | None = None
    former_ended: datetime | None = None

    @property
    def place(self) -> str:
        """As a person names it."""
        return f"container {self.name} of pod {self.pod}"


def fetcher(system: System) -> Fetch:
    """What fetches the logs of pods of the system's clusters."""
    return lambda pods, since, folder: fetch(_cluster(system, pods), pods, since, folder)


def reach(system: System, pods: PodLogs) -> str:
    """How many containers these pods have; the beginning of one log is read, no more.

    Raises MissingError when no pod has a log, and what `fetch` raises.
    """
    api = Api(_cluster(system, pods))
    found = _found(api, pods)
    if not found:
        raise MissingError(f"none of the {pods.place} has a log; correct its selector: {pods.command} --show-labels")
    _Log(api, pods, found[0], found[0].began).rotated()
    return f"{len(found)} containers have a log, that of {found[0].place} can be read"


def fetch(cluster: Cluster, pods: PodLogs, since: datetime, folder: Path) -> FetchedLogs:
    """Write what the pods' containers, and those before their last restart, wrote since then; a file each.

    Raises UnreachableError, RefusedError, ConfigurationError when nothing could be read.
    """
    api = Api(cluster)
    found = _found(api, pods)
    missing: list[str] = []
    lost = list(_gone(found, pods, since))
    for one in found:
        log = _Log(api, pods, one, since)
        try:
            missing += log.save(folder)
            lost += log.rotated()
            if one.former_ended and one.former_ended >= since:
                missing += log.save(folder, former=True)
        except (RefusedError, MissingError, UnreachableError) as error:
            if not any(path.stat().st_size for path in folder.iterdir()):
                raise
            missing.append(f"{one.place}: {error}")
            if isinstance(error, UnreachableError):
                break
    return FetchedLogs(missing=tuple(missing), lost=tuple(lost))


class _Log:
    """The log of one container since a moment."""

    def __init__(self, api: Api, pods: PodLogs, container: Container, since: datetime) -> None:
        self._api, self._pods, self._container, self._since = api, pods, container, since

    def save(self, folder: Path, *, former: bool = False) -> list[str]:
        """Write it, or that of the container before its last restart; a sentence when it is longer than the limit."""
        one, limit = self._container, self._pods.limit_bytes
        query = [("sinceTime", iso(self._since)), ("limitBytes", limit), ("previous", str(former).lower())]
        size, rest = 0, b""
        with (folder / f"{one.pod}.{one.name}{'.former' if former else ''}.log").open("wb") as file:
            for piece in self._pieces(query):
                size += len(piece)
                whole, end, rest = (rest + piece).rpartition(b"\n")
                if len(rest) > _LONGEST:
                    # The reading gives up so long a line; its end need not be awaited.
                    whole, end, rest = whole + end, rest, b""
                file.write(_TIMED.sub(_AS_CRI, whole + end))
            file.write(_TIMED.sub(_AS_CRI, rest))
        if size < limit:
            return []
        return [
            f"{one.place} wrote {limit} bytes or more since {iso(self._since)}, and the rest was not read; raise "
            "limit_bytes of its source in log_review, or review more often"
        ]

    def rotated(self) -> list[str]:
        """A sentence when its log begins later than it should: what was before that may have been rotated away."""
        begin = max(self._since, self._container.began + _START)
        head = b"".join(self._pieces([("limitBytes", _HEAD_BYTES)]))
        found = _TIMED.match(head)
        oldest = datetime.fromisoformat(found[1].decode()) if found else begin
        if oldest <= begin:
            return []
        return [
            f"the log of {self._container.place} begins at {iso(oldest)}: it was silent before, or the kubelet rotated "
            "away what it wrote; read the files of its host with container: cri, or raise containerLogMaxSize"
        ]

    def _pieces(self, query: list[tuple[str, object]]) -> Iterator[bytes]:
        place = f"/api/v1/namespaces/{self._pods.namespace}/pods/{self._container.pod}/log"
        return self._api.pieces(place, LOGS, [("container", self._container.name), ("timestamps", "true"), *query])


def _cluster(system: System, pods: PodLogs) -> Cluster:
    return next(cluster for cluster in system.capacity.clusters if cluster.name == pods.cluster)


def _found(api: Api, pods: PodLogs) -> list[Container]:
    return [one for pod in api.list(PODS, _containers, pods.namespace, pods.selector) for one in pod]


def _gone(found: list[Container], pods: PodLogs, since: datetime) -> Iterator[str]:
    """Sentences on containers that were there in the period, and took their logs along."""
    if found and min(one.pod_began for one in found) > since:
        oldest = min(one.pod_began for one in found)
        yield f"none of the {pods.place} is older than {iso(oldest)}: what ran before took its log along"
    for one in found:
        if one.restarts > 1 and one.former_began and one.former_began > since:
            yield f"{one.place} was restarted {one.restarts} times: only the logs of its last two runs are kept"


def _containers(item: Json) -> list[Container]:
    """The containers of a pod that have run, those of its initialisation too."""
    status, metadata = item.get("status") or {}, item["metadata"]
    told = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [one for state in told if (one := _container(state, metadata)) is not None]


def _container(told: Json, metadata: Json) -> Container | None:
    state, former = told.get("state") or {}, (told.get("lastState") or {}).get("terminated")
    current = state.get("running") or state.get("terminated")
    # One that waits for its next start: the API gives the log of its last run as the current one.
    current, former = (current, former) if current else (former, None)
    if not current or not current.get("startedAt"):
        return None
    return Container(
        pod=metadata["name"],
        pod_began=metadata["creationTimestamp"],
        name=told["name"],
        began=current["startedAt"],
        restarts=told.get("restartCount", 0),
        former_began=former.get("startedAt") if former else None,
        former_ended=former.get("finishedAt") if former else None,
    )
