"""A local server that answers with the shapes of the Kubernetes API, and its kubeconfig."""

import json
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import yaml

CORE, METRICS = "/api/v1", "/apis/metrics.k8s.io/v1beta1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
KINDS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
TOKEN = "planted-cluster-token"


class FakeCluster:
    """Collections by path, served in pages of what is asked for; faults by path."""

    def __init__(self):
        self.items: dict[str, list[bytes]] = {}
        # By the path of a pod's log, the container, and whether it is that of its former run: times and texts.
        self.logs: dict[tuple[str, str, bool], list[tuple[str, str]]] = {}
        self.faults: dict[str, object] = {}
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self.over = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def put(self, path, items):
        self.items[path] = [json.dumps(item).encode() for item in items]

    def log(self, pod, container, *lines, former=False, namespace="shop"):
        self.logs[f"{CORE}/namespaces/{namespace}/pods/{pod}/log", container, former] = list(lines)

    def kubeconfig(self, folder):
        path = folder / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1", "kind": "Config", "current-context": "main",
                    "clusters": [{"name": "main", "cluster": {"server": self.url}}],
                    "users": [{"name": "reader", "user": {"token": TOKEN}}],
                    "contexts": [{"name": "main", "context": {"cluster": "main", "user": "reader"}}],
                }
            )
        )  # fmt: skip
        return path

    def answer(self, path, query):
        """Status and body of one GET."""
        self.requests.append((path, query))
        if path not in self.items and not path.endswith("/log"):
            return 404, _status(404, "NotFound")
        fault = self.faults.get(path)
        if callable(fault):
            fault = fault(query)
        if isinstance(fault, int):
            return fault, _status(fault, "a reason")
        if path.endswith("/log"):
            return self._log(path, query)
        selector, items = query.get("labelSelector", [""])[0], self.items[path]
        if selector:
            items = [item for item in items if _fits(json.loads(item), selector)]
        start, limit = int(query.get("continue", ["0"])[0]), int(query["limit"][0])
        end = start + limit
        more = str(end) if end < len(items) else ""
        page = b",".join(items[start:end])
        return 200, b'{"kind":"List","metadata":{"continue":"' + more.encode() + b'"},"items":[' + page + b"]}"

    def _log(self, path, query):
        """A container's log as the kubelet gives it: times before the lines, cut where the limit is."""
        asked = {name: values[0] for name, values in query.items()}
        lines = self.logs.get((path, asked["container"], asked.get("previous") == "true"))
        if lines is None:
            return 400, _status(400, f"container {asked['container']} has no such log")
        since = datetime.fromisoformat(asked.get("sinceTime", "1970-01-01T00:00:00Z"))
        told = [f"{at} {text}\n" for at, text in lines if datetime.fromisoformat(at) >= since]
        assert asked["timestamps"] == "true"
        return 200, "".join(told).encode()[: int(asked["limitBytes"])]


def without_roles() -> FakeCluster:
    """A cluster whose collections of roles and bindings are there, and empty."""
    cluster = FakeCluster()
    for kind in KINDS:
        cluster.put(f"{RBAC}/{kind}", [])
    return cluster


def _fits(item, selector):
    """Whether its labels are those of a selector such as app=web."""
    name, _, value = selector.partition("=")
    return item["metadata"].get("labels", {}).get(name) == value


def _status(code, message):
    return json.dumps({"kind": "Status", "status": "Failure", "code": code, "message": message}).encode()


def _handler(cluster):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, body = 401, _status(401, "Unauthorized")
            else:
                status, body = cluster.answer(parts.path, parse_qs(parts.query))
            fault = cluster.faults.get(parts.path)
            if fault == "hangs":
                cluster.over.wait(200)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if fault == "drips":
                for byte in body[:80]:
                    self.wfile.write(bytes([byte]))
                    cluster.over.wait(2)
            self.wfile.write(body[: len(body) // 2] if fault == "cuts" else body)
            if fault == "cuts":
                self.close_connection = True

        def log_message(self, *_):
            pass

    return Handler


def node(name, cpu="4", memory="16Gi", pods="110"):
    return {
        "metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}
    }  # fmt: skip


def pod(name, namespace="shop", node="n0", owner=None, phase="Running", claims=(), padding=0, **resources):
    metadata = {"name": name, "namespace": namespace, "annotations": {"padding": "x" * padding}}
    if owner:
        kind, owner_name, digest = owner
        metadata |= {
            "labels": {"pod-template-hash": digest},
            "ownerReferences": [{"kind": kind, "name": owner_name, "controller": True}],
        }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": one}} for one in claims]
    containers = [{"name": "main", "resources": resources}, {"name": "plain"}] if resources else [{"name": "main"}]
    spec = {"nodeName": node, "containers": containers, "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}]}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def claim(name, namespace="shop", phase="Bound", size="10Gi"):
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"resources": {"requests": {"storage": size}}},
        "status": {"phase": phase, **({"capacity": {"storage": size}} if phase == "Bound" else {})},
    }


def volume(name, phase="Bound", size="10Gi", storage_class="fast"):
    spec = {"capacity": {"storage": size}, "storageClassName": storage_class}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}
