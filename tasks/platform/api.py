"""Reading a Kubernetes API with the traps of its client closed: one deadline for everything, listings by pages.

The client sets no timeout by itself, the one that it takes is for each try, and its pool tries four times. Models are
not built: of ten thousand pods they cost minutes and gigabytes.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

import urllib3
import yaml
from kubernetes import client, config
from pydantic import Field

from tasks.base import stopping
from tasks.base.capacity import Cluster
from tasks.base.clock import stopwatch
from tasks.base.errors import ConfigurationError, MissingError, RefusedError, UnreachableError
from tasks.base.words import Frozen

PAGE = 500
_RESTARTS = 5
Item = TypeVar("Item")
# The client has no types.
load_kube_config: Any = config.load_kube_config
load_incluster_config: Any = config.load_incluster_config
Json = dict[str, Any]


class Collection(Frozen):
    """Objects that the API lists."""

    resource: str = Field(description="Plural name, e.g. pods")
    path: str = Field(default="/api/v1", description="Path of the API group and version")
    group: str = Field(default="", description="API group as it stands in a role; empty: core")

    @property
    def rule(self) -> str:
        """The rule of a role that lets an account list it, as YAML on one line."""
        return f'- {{apiGroups: ["{self.group}"], resources: [{self.resource}], verbs: [list]}}'


class _GoneError(Exception):
    """The continue token is too old."""


class Api:
    """One cluster, read until a deadline that counts from now for all that is asked."""

    def __init__(self, cluster: Cluster) -> None:
        """Raises ConfigurationError when kubeconfig, context or service account are not there or not valid."""
        self._cluster, self._elapsed = cluster, stopwatch()
        self._client = _client(cluster)

    def list(self, of: Collection, take: Callable[[Json], Item], namespace: str = "") -> list[Item]:
        """What `take` makes of every object. Only one page is held as the API sent it.

        A listing whose continue token went stale (410 Gone) begins again. Raises RefusedError (the missing rule of a
        role is named), MissingError (there is no such API), UnreachableError (also past the deadline).
        """
        place = f"{of.path}/namespaces/{namespace}/{of.resource}" if namespace else f"{of.path}/{of.resource}"
        for _ in range(_RESTARTS):
            try:
                return [take(item) for item in self._items(place, of)]
            except _GoneError:
                continue
        raise UnreachableError(
            f"cluster '{self._cluster.name}' let the listing of {of.resource} expire {_RESTARTS} times; try again later"
        )

    def _items(self, place: str, of: Collection) -> Iterator[Json]:
        token = ""
        while True:
            page = self._get(place, of, [("limit", PAGE), *([("continue", token)] if token else [])])
            yield from page.get("items") or ()
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _get(self, place: str, of: Collection, query: Iterable[tuple[str, object]]) -> Json:
        stopping.raise_if_stopped()
        try:
            request = self._client.param_serialize(
                "GET",
                place,
                query_params=list(query),
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=self._left()).response
            body = self._body(answer)
        except urllib3.exceptions.HTTPError as error:
            stopping.raise_if_stopped()
            self._left()
            raise UnreachableError(
                f"cluster '{self._cluster.name}' at {self._client.configuration.host} does not answer: "
                f"{type(error).__name__}; look whether it is reachable from here"
            ) from None
        if answer.status != 200:
            self._refuse(answer.status, body, of)
        try:
            page: Json = json.loads(body)
        except ValueError:
            raise UnreachableError(f"cluster '{self._cluster.name}' cut its answer for {of.resource}") from None
        return page

    def _body(self, answer: Any) -> bytes:
        """All of the answer; a server that sends it drop by drop is cut off at the deadline."""
        timer = threading.Timer(self._left(), answer.shutdown)
        timer.daemon = True
        timer.start()
        try:
            with stopping.on_stop(answer.shutdown):
                return bytes(answer.read())
        finally:
            timer.cancel()
            answer.release_conn()

    def _left(self) -> float:
        """Seconds until the deadline. Raises UnreachableError behind it."""
        left = self._cluster.deadline_seconds - self._elapsed()
        if left <= 0:
            raise UnreachableError(
                f"cluster '{self._cluster.name}' was not read within {self._cluster.deadline_seconds:g} s; look "
                "whether its API hangs, or raise deadline_seconds of the cluster"
            )
        return left

    def _refuse(self, status: int, body: bytes, of: Collection) -> NoReturn:
        """Raise what an answer other than 200 means."""
        name = f"cluster '{self._cluster.name}'"
        if status == 410:
            raise _GoneError
        if status == 403:
            raise RefusedError(
                f"{name} does not let this account list {of.resource}; add to its ClusterRole: {of.rule}"
            )
        if status == 401:
            raise RefusedError(f"{name} does not know this account; renew the token or certificate of its kubeconfig")
        if status == 404:
            raise MissingError(f"{name} has no API for {of.resource} ({of.group or 'core'})")
        said = _said(body)
        if status == 429 or status >= 500:
            raise UnreachableError(f"{name} answered {status} for {of.resource}: {said}; try again later")
        raise RefusedError(f"{name} answered {status} for {of.resource}: {said}; look at its API server's log")


def _client(cluster: Cluster) -> client.ApiClient:
    """The client with the cluster's own settings, which tries once."""
    settings = type.__call__(client.Configuration)
    try:
        try:
            load_kube_config(
                str(cluster.kubeconfig) if cluster.kubeconfig else None,
                cluster.context,
                client_configuration=settings,
                persist_config=False,
            )
        except config.ConfigException:
            if cluster.kubeconfig or cluster.context:
                raise
            load_incluster_config(client_configuration=settings)
    except (config.ConfigException, OSError, yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(
            f"cluster '{cluster.name}': {_first_line(error)}; set kubeconfig and context, or run inside it"
        ) from None
    settings.retries = False
    return client.ApiClient(settings)


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _first_line(error: Exception) -> str:
    """The library's sentence without its end; of YAML nothing is quoted, it may hold a token."""
    return (
        "the kubeconfig is no YAML" if isinstance(error, yaml.YAMLError) else str(error).partition("\n")[0].rstrip(".")
    )
