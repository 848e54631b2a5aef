"""A stand-in on 127.0.0.1 of the hub that holds Amazon Reviews 2023 and of the server that holds its photos."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from file_server import FileHandler, Files, serving
from PIL import Image


@dataclass
class Reviews(Files):
    """Files by their paths, and the server's address."""

    address: str = ""


class _Handler(FileHandler):
    state: Reviews

    def answer(self) -> None:
        content = self.state.files.get(self.path)
        if content is None:
            self.refuse(404)
            return
        digest = f'"{hashlib.sha256(content).hexdigest()}"'
        size = len(self.state.served.get(self.path, content))
        self.send_file(self.path, {"X-Linked-Etag": digest, "X-Linked-Size": str(size), "ETag": digest})


@contextmanager
def serve() -> Iterator[Reviews]:
    """Run the stand-in."""
    state = Reviews()
    with serving(_Handler, state) as (state.address,):
        yield state


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
