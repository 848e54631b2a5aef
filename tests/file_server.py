"""Files over HTTP from 127.0.0.1, as the hub sends them: whole or from a byte on, and cut off where a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Files:
    """What is served by name, how the server misbehaves, and what it was asked: method, path, Range header;
    ``agents`` holds every User-Agent.

    ``cut_at`` closes the connection of the next transfer after so many bytes and answers 503 to transfers
    until ``heal``. ``served`` replaces the bytes of a file while its stated checksum stays.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)
    cut_at: int | None = None
    down: bool = False
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    agents: set[str | None] = field(default_factory=set)

    def heal(self) -> None:
        self.cut_at, self.down = None, False
        self.asked.clear()

    def transfers(self, name: str) -> list[str | None]:
        """The Range header (or None) of every GET of a file."""
        return [start for method, path, start in self.asked if method == "GET" and path.endswith(name)]


class FileHandler(BaseHTTPRequestHandler):
    """Sends files and refusals; what a path stands for, a subclass says in ``answer``."""

    protocol_version = "HTTP/1.1"
    state: Any

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: pytest shows what matters."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.state.asked.append((self.command, self.path, self.headers.get("Range")))
        self.state.agents.add(self.headers.get("User-Agent"))
        self.answer()

    def answer(self) -> None:
        raise NotImplementedError

    def refuse(self, status: int, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_file(self, name: str, headers: Mapping[str, str]) -> None:
        """Send what is served as ``name``, from where the Range header says; of a HEAD the headers alone."""
        state, sent = self.state, self.command == "GET"
        if sent and state.down:
            self.refuse(503)
            return
        content = state.served.get(name, state.files[name])
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", COMMIT)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        if sent and state.cut_at is not None:
            self.wfile.write(content[start : state.cut_at])
            self.wfile.flush()
            state.cut_at, state.down = None, True
            self.close_connection = True
        elif sent:
            self.wfile.write(content[start:])


@contextmanager
def serving(handler: type[FileHandler], state: Files, *, servers: int = 1) -> Iterator[list[str]]:
    """Serve one state at so many addresses, which are given."""
    bound = type("Handler", (handler,), {"state": state})
    running = [ThreadingHTTPServer(("127.0.0.1", 0), bound) for _ in range(servers)]
    for server in running:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield [f"http://127.0.0.1:{server.server_address[1]}" for server in running]
    for server in running:
        server.shutdown()
        server.server_close()
