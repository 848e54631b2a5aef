"""Amazon Reviews 2023 as a folder of a shop: users who reviewed enough of a category, and the products they reviewed.

Source: Hou, Li, He, Yan, Chen and McAuley, "Bridging Language and Items for Retrieval and Recommendation", arXiv 2403.03952;
https://amazon-reviews-2023.github.io and the data set McAuley-Lab/Amazon-Reviews-2023 on the Hugging Face hub.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fetching.download import HubFile
from fetching.shop_folder import Taken
from vlm4rec_edge.errors import CatalogError

REPOSITORY = "McAuley-Lab/Amazon-Reviews-2023"
REVISION = "d01bb542fc8c234534c064a3ee1fa9529dfe7a41"
LICENCE = (
    "Amazon Reviews 2023 was collected by McAuley Lab, UC San Diego, for research; its card names no licence. Texts and "
    "photos belong to Amazon, its sellers and its customers: measure with them, and pass none of them on."
)
# A large enough photo for any model here, and a small file; then whatever there is.
_PHOTO_SIZES = ("large", "hi_res", "thumb")
COLUMNS = ("id", "image", "title", "store", "price", "category", "features", "description")


def files_of(category: str, revision: str = REVISION) -> tuple[HubFile, HubFile]:
    """Return the reviews and the products of a category such as ``Amazon_Fashion``."""
    return (
        HubFile(REPOSITORY, revision, f"raw/review_categories/{category}.jsonl"),
        HubFile(REPOSITORY, revision, f"raw/meta_categories/meta_{category}.jsonl"),
    )


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file.

    Raises:
        CatalogError: a line is no JSON object.
    """
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise CatalogError(f"{path}, line {number}, is no JSON object; remove the file and fetch it again.")
            yield found


def chosen_reviews(path: Path, users: int, least: int, seed: int) -> list[Taken]:
    """Return the first review of each product by ``users`` users drawn among those with ``least`` products or more.

    The file is read twice: all users of a large category at once would not fit into memory.
    """
    reviews = Counter(str(review["user_id"]) for review in read_lines(path))
    candidates = {user for user, count in reviews.items() if count >= least}
    first: dict[str, dict[str, float]] = {}
    for review in read_lines(path):
        user, item, time = str(review["user_id"]), str(review["parent_asin"]), int(review["timestamp"]) / 1000
        if user in candidates:
            own = first.setdefault(user, {})
            own[item] = min(time, own.get(item, time))
    enough = sorted(user for user, own in first.items() if len(own) >= least)
    drawn = np.random.default_rng(seed).permutation(len(enough))[:users]
    return [Taken(enough[at], item, time) for at in sorted(drawn) for item, time in first[enough[at]].items()]


def products(path: Path, wanted: Iterable[str]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the rows of ``items.csv`` of the wanted products that have a photo, sorted by id, and the photos' addresses."""
    ids = set(wanted)
    rows: dict[str, dict[str, str]] = {}
    photos: dict[str, str] = {}
    for product in read_lines(path):
        item = str(product["parent_asin"])
        address = photo_of(product.get("images"))
        if item in ids and address:
            rows[item], photos[item] = _row(item, product), address
    return [rows[item] for item in sorted(rows)], photos


def photo_of(images: Any) -> str:
    """Return the address of a product's main photo, empty where it has none.

    The JSONL files hold a list of objects, the hub's tables an object of lists; both are read.
    """
    if isinstance(images, Mapping):
        names = list(images)
        images = [dict(zip(names, values, strict=True)) for values in zip(*images.values(), strict=True)]
    if not isinstance(images, Sequence) or not images:
        return ""
    shown = sorted(images, key=lambda image: image.get("variant") != "MAIN")  # stable: else the first one
    found = (str(image.get(size) or "") for image in shown for size in _PHOTO_SIZES)
    return next((address for address in found if address.startswith(("https://", "http://"))), "")


def _row(item: str, product: Mapping[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        whole = " ".join(map(str, value)) if isinstance(value, list) else str(value if value is not None else "")
        return " ".join(whole.split())

    categories = product.get("categories") or [product.get("main_category")]
    return {
        "id": item,
        "image": f"{item}.jpg",
        "title": text(product.get("title")),
        "store": text(product.get("store")),
        "price": text(product.get("price")),
        "category": text(" > ".join(str(own) for own in categories if own)),
        "features": text(product.get("features")),
        "description": text(product.get("description")),
    }
