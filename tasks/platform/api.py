"""Reading a Kubernetes API with the traps of its client closed: one deadline for everything, listings by pages.

The client sets no timeout by itself, the one that it takes is for each try, and its pool tries four times. Models are
not built: of ten thousand pods they cost minutes and gigabytes.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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
_RESTARTS, _PIECE_BYTES = 5, 64 * 1024
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
    verb: str = Field(default="list", description="What is done with it, as it stands in a role")

    @property
    def rule(self) -> str:
        """The rule of a role that lets an account read it, as YAML on one line."""
        return f'- {{apiGroups: ["{self.group}"], resources: [{self.resource}], verbs: [{self.verb}]}}'


class _GoneError(Exception):
    """The continue token is too old."""


class Api:
    """One cluster, read until a deadline that counts from now for all that is asked."""

    def __init__(self, cluster: Cluster) -> None:
        """Raises ConfigurationError when kubeconfig, context or service account are not there or not valid."""
        self._cluster, self._elapsed = cluster, stopwatch()
        self._client = _client(cluster)

    def list(self, of: Collection, take: Callable[[Json], Item], namespace: str = "", selector: str = "") -> list[Item]:
        """What `take` makes of every object with these labels. Only one page is held as the API sent it.

        A listing whose continue token went stale (410 Gone) begins again. Raises RefusedError (the missing rule of a
        role is named), MissingError (there is no such API), UnreachableError (also past the deadline).
        """
        place = f"{of.path}/namespaces/{namespace}/{of.resource}" if namespace else f"{of.path}/{of.resource}"
        for _ in range(_RESTARTS):
            try:
                return [take(item) for item in self._items(place, of, selector)]
            except _GoneError:
                continue
        raise UnreachableError(
            f"cluster '{self._cluster.name}' let the listing of {of.resource} expire {_RESTARTS} times; try again later"
        )

    def pieces(self, place: str, of: Collection, query: Iterable[tuple[str, object]]) -> Iterator[bytes]:
        """A text that the API sends, piece by piece; no more than one is held. Raises what `list` raises."""
        with self._heard():
            answer = self._ask(place, query)
            if answer.status != 200:
                self._refuse(answer.status, b"".join(self._body(answer)), of)
            yield from self._body(answer)

    def _items(self, place: str, of: Collection, selector: str) -> Iterator[Json]:
        token = ""
        chosen = [("labelSelector", selector)] if selector else []
        while True:
            page = self._get(place, of, [("limit", PAGE), *chosen, *([("continue", token)] if token else [])])
            yield from page.get("items") or ()
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _get(self, place: str, of: Collection, query: Iterable[tuple[str, object]]) -> Json:
        with self._heard():
            answer = self._ask(place, query)
            body = b"".join(self._body(answer))
        if answer.status != 200:
            self._refuse(answer.status, body, of)
        try:
            page: Json = json.loads(body)
        except ValueError:
            raise UnreachableError(f"cluster '{self._cluster.name}' cut its answer for {of.resource}") from None
        return page

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Raises UnreachableError for whatever goes wrong with the connection."""
        stopping.raise_if_stopped()
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            stopping.raise_if_stopped()
            self._left()
            raise UnreachableError(
                f"cluster '{self._cluster.name}' at {self._client.configuration.host} does not answer: "
                f"{type(error).__name__}; look whether it is reachable from here"
            ) from None

    def _ask(self, place: str, query: Iterable[tuple[str, object]]) -> Any:
        request = self._client.param_serialize(
            "GET",
            place,
            query_params=list(query),
            header_params={"Accept": "application/json, */*"},
            auth_settings=["BearerToken"],
        )
        return self._client.call_api(*request, _request_timeout=self._left()).response

    def _body(self, answer: Any) -> Iterator[bytes]:
        """The answer in pieces; a server that sends it drop by drop is cut off at the deadline."""
        timer = threading.Timer(self._left(), answer.shutdown)
        timer.daemon = True
        timer.start()
        try:
            with stopping.on_stop(answer.shutdown):
                yield from answer.stream(_PIECE_BYTES)
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
                f"{name} does not let this account {of.verb} {of.resource}; add to its ClusterRole: {of.rule}"
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
