"""A stand-in on 127.0.0.1 of the hub that holds Amazon Reviews 2023 and of the server that holds its photos."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Reviews:
    """What the stand-in serves by path, and what it was asked: method, path, Range header.

    ``cut_at`` closes the connection of the next file after so many bytes, and answers 503 until it is None again.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)
    cut_at: int | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def sent(self, name: str) -> list[str | None]:
        """The Range header (or None) of every GET of a file."""
        return [start for method, path, start in self.asked if method == "GET" and path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Reviews

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: pytest shows what matters."""

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, *, send: bool) -> None:
        state, wanted = self.state, self.headers.get("Range")
        state.asked.append((self.command, self.path, wanted))
        content = state.files.get(self.path)
        if content is None or (send and state.cut_at == 0):
            self.send_response(404 if content is None else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        digest = hashlib.sha256(content).hexdigest()
        content = state.served.get(self.path, content)
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Linked-Etag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not send:
            return
        if state.cut_at is not None and "/resolve/" in self.path:
            self.wfile.write(content[start : state.cut_at])
            self.wfile.flush()
            state.cut_at = 0
            self.close_connection = True
            return
        self.wfile.write(content[start:])


@contextmanager
def serve() -> Iterator[Reviews]:
    """Run the stand-in."""
    state = Reviews()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


def fill(state: Reviews, repository: str, revision: str, category: str, *, padding: int = 0) -> None:
    """Put a made category there: 8 users, of whom 6 reviewed 6 products each, and 40 products.

    Product 7 has no photo in its data, that of product 8 is not on the server, that of product 12 is no picture, and product
    10 is not among the products at all. The first review is as long as ``padding`` says.
    """
    reviews, products = [], []
    for user in range(8):
        for place in range(6 if user < 6 else 2):
            item = (7 * user + 5 * place) % 40
            review = {
                "user_id": f"AE{user}",
                "parent_asin": f"B{item:03}",
                "asin": "other",
                "rating": 5.0,
                "text": "Nice.",
            }
            reviews.append(review | {"timestamp": 1_600_000_000_000 + 86_400_000 * place})
    reviews[0]["text"] = padding * "x"
    # He came back to his first product later.
    reviews.append(reviews[0] | {"timestamp": 1_700_000_000_000})
    for item in range(40):
        colour = (5 * item, 100, 200 - 5 * item)
        picture = io.BytesIO()
        Image.new("RGB", (40, 60), colour).save(picture, "JPEG")
        large = {"variant": "PT01", "large": f"{state.address}/photos/other.jpg", "thumb": None, "hi_res": None}
        main = {"variant": "MAIN", "large": f"{state.address}/photos/{item}.jpg", "hi_res": None}
        if item != 8:
            state.files[f"/photos/{item}.jpg"] = b"no picture" if item == 12 else picture.getvalue()
        product = {"parent_asin": f"B{item:03}", "title": f"Product  {item}", "store": "Made", "price": None}
        product |= {"categories": ["Clothing", "Shirts"], "features": ["cotton", "long"], "description": []}
        if item != 10:
            products.append(product | {"images": [] if item == 7 else [large, main]})
    for name, rows in ((f"review_categories/{category}", reviews), (f"meta_categories/meta_{category}", products)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        state.files[f"/datasets/{repository}/resolve/{revision}/raw/{name}.jsonl"] = lines.encode()
