"""A stand-in of the Hugging Face hub on 127.0.0.1, and a pull from it in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import vlm4rec_edge

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """What the stand-in serves, how it misbehaves, and what it was asked.

    ``cut_at`` closes the connection of the next transfer after so many bytes and answers 503 to transfers
    until ``heal``. ``served`` replaces the bytes of a file while its stated checksum stays.
    """

    endpoint: str = ""
    store: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    small: set[str] = field(default_factory=set)
    served: dict[str, bytes] = field(default_factory=dict)
    cut_at: int | None = None
    down: bool = False
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def heal(self) -> None:
        self.cut_at, self.down = None, False
        self.asked.clear()

    def transfers(self, name: str) -> list[str | None]:
        """The Range header (or None) of every GET of a file."""
        return [start for method, path, start in self.asked if method == "GET" and path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: pytest shows what matters."""

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, *, send: bool) -> None:
        hub, place = self.hub, self.path.split("?")[0].strip("/")
        hub.asked.append((self.command, place, self.headers.get("Range")))
        owner_repository, _, rest = place.partition("/resolve/")
        if place.startswith("store/"):
            self._send(place.removeprefix("store/"), send=send)
        elif owner_repository != "made/repository":
            self._refuse(401, "RepoNotFound")
        elif (name := rest.partition("/")[2]) not in hub.files:
            self._refuse(404, "EntryNotFound")
        elif name in hub.small:
            self._send(name, send=send)
        else:
            # A large file lies on another host, as on the real hub.
            self.send_response(302)
            self.send_header("Location", f"{hub.store}/store/{name}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(hub.files[name]).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(hub.files[name])))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, name: str, *, send: bool) -> None:
        hub = self.hub
        if send and hub.down:
            self._refuse(503, "Down")
            return
        content = hub.served.get(name, hub.files[name])
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        blob = hashlib.sha1(b"blob %d\0" % len(hub.files[name]) + hub.files[name], usedforsecurity=False)
        self.send_header("ETag", f'"{blob.hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not send:
            return
        if hub.cut_at is not None:
            self.wfile.write(content[start : hub.cut_at])
            self.wfile.flush()
            hub.cut_at, hub.down = None, True
            self.close_connection = True
            return
        self.wfile.write(content[start:])


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a stand-in that serves the repository made/repository; large files come from a second address."""
    state = Hub()
    handler = type("Handler", (_Handler,), {"hub": state})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    state.endpoint, state.store = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    for server in servers:
        server.shutdown()
        server.server_close()


_PULL = """
import sys
from pathlib import Path
from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.models import hub, registry
known = registry.read_registry(Path(sys.argv[1]))
hub.registry = lambda: known
try:
    print(hub.pull(sys.argv[2], offline="--offline" in sys.argv, progress=False))
except Vlm4RecError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True)
class Pull:
    """Pulls in a process of its own, since huggingface_hub reads its environment when it is imported."""

    hub: Hub
    folder: Path

    def __call__(
        self, entry: dict[str, Any], *options: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Pull one registry entry; ``environment`` is added to one without the caller's hub settings."""
        known = self.folder / "made-registry.json"
        known.write_text(json.dumps({"format": 1, "models": [entry]}))
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) and not name.lower().endswith("_proxy")
        }
        clean |= {
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(self.folder / "huggingface"),
            "PYTHONPATH": str(Path(vlm4rec_edge.__file__).parent.parent),
            **(environment or {}),
        }
        return subprocess.run(
            [sys.executable, "-c", _PULL, str(known), entry["name"], *options],
            capture_output=True,
            text=True,
            env=clean,
            timeout=120,
            check=False,
        )
