"""A container registry on loopback that speaks the few endpoints that a pull needs, and checks who asks.

Source: OCI Distribution Specification 1.1, "Pull".
"""

import base64
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.real.serving import serving

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs)/(?P<reference>[^/]+)")


class Registry:
    """What it holds, and what it was asked: (status, path). With credentials it answers nobody else."""

    def __init__(self, credentials: str = "") -> None:
        self.asked: list[tuple[int, str]] = []
        self._expected = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[str, bytes] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Tests read `asked`."""

            def do_GET(self) -> None:
                with suppress(ConnectionError):
                    registry._answer(self)

            do_HEAD = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def hold(self, name: str, tag: str, config_type: str, config: bytes, layer_type: str, layer: bytes) -> str:
        """An image or artifact of one layer; its reference."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._blob(config_type, config),
            "layers": [self._blob(layer_type, layer)],
        }
        data = json.dumps(manifest).encode()
        for reference in (tag, f"sha256:{hashlib.sha256(data).hexdigest()}"):
            self._manifests[f"{name}/{reference}"] = data
        return f"{self.address}/{name}:{tag}"

    def hold_database(self, folder: Path) -> str:
        """The vulnerability database of that cache folder, as Trivy's own registry has it; its repository."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w:gz") as tar:
            for path in sorted((folder / "db").iterdir()):
                tar.add(path, path.name)
        kinds = ("application/vnd.aquasec.trivy.config.v1+json", "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip")
        return self.hold("trivy-db", "2", kinds[0], b"{}", kinds[1], layer.getvalue())

    def _blob(self, media_type: str, data: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._blobs[digest] = data
        return {
            "mediaType": media_type,
            "digest": digest,
            "size": len(data),
            "annotations": {"org.opencontainers.image.title": "db.tar.gz"},
        }

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        status, kind, data = self._found(handler)
        self.asked.append((status, handler.path))
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        if status == 401:
            handler.send_header("WWW-Authenticate", 'Basic realm="registry"')
        if kind == _MANIFEST:
            handler.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(data).hexdigest()}")
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(data)

    def _found(self, handler: BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
        if self._expected and handler.headers.get("Authorization") != self._expected:
            return 401, "application/json", b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}'
        if handler.path == "/v2/":
            return 200, "application/json", b"{}"
        asked = _PATH.fullmatch(handler.path)
        if asked and asked["what"] == "manifests" and f"{asked['name']}/{asked['reference']}" in self._manifests:
            return 200, _MANIFEST, self._manifests[f"{asked['name']}/{asked['reference']}"]
        if asked and asked["what"] == "blobs" and asked["reference"] in self._blobs:
            return 200, "application/octet-stream", self._blobs[asked["reference"]]
        return 404, "application/json", b'{"errors":[{"code":"NOT_FOUND","message":"not here"}]}'


@contextmanager
def registry(credentials: str = "") -> Iterator[Registry]:
    """A registry while the block runs."""
    made = Registry(credentials)
    with serving(made.server):
        yield made
