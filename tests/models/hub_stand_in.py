"""A stand-in of the Hugging Face hub on 127.0.0.1, and a pull from it in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from file_server import COMMIT, FileHandler, Files, serving

import vlm4rec_edge


@dataclass
class Hub(Files):
    """A repository of files, the hub's address, and that of the host where its large files lie; ``small`` ones do not.

    The next requests are answered by the statuses and headers of ``refusals``.
    """

    endpoint: str = ""
    store: str = ""
    small: set[str] = field(default_factory=set)
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)


class _Handler(FileHandler):
    state: Hub

    def answer(self) -> None:
        hub, place = self.state, self.path.split("?")[0].strip("/")
        owner_repository, _, rest = place.partition("/resolve/")
        if hub.refusals:
            status, headers = hub.refusals.pop(0)
            self.send_response(status)
            for header, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(header, value)
            self.end_headers()
        elif place.startswith("store/"):
            self._send(place.removeprefix("store/"))
        elif owner_repository != "made/repository":
            self.refuse(401, "RepoNotFound")
        elif (name := rest.partition("/")[2]) not in hub.files:
            self.refuse(404, "EntryNotFound")
        elif name in hub.small:
            self._send(name)
        else:
            # A large file lies on another host, as on the real hub.
            self.send_response(302)
            self.send_header("Location", f"{hub.store}/store/{name}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(hub.files[name]).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(hub.files[name])))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, name: str) -> None:
        content = self.state.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        self.send_file(name, {"ETag": f'"{blob.hexdigest()}"'})


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a stand-in that serves the repository made/repository; large files come from a second address."""
    state = Hub()
    with serving(_Handler, state, servers=2) as (state.endpoint, state.store):
        yield state


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
