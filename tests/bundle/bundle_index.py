"""A small index of many kinds of texts, and what tests do to bundles of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from made_store import EncodingWriter, GivenVectors, random_vectors

from vlm4rec_edge.bundle.manifest import MANIFEST_NAME, canonical
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.grounded import GroundedItem

ITEMS = 60
ROWS = 48
_TITLES = ("Shirt", "Ärmelloses Kleid", "靴", "Hat 🎩", "")


def grounded(number: int, folder: Path, *, caption: str | None = None) -> GroundedItem:
    """The item of a number: some share a caption and its row, some lack an attribute or have an empty one."""
    row = number % ROWS
    caption = caption or f"Caption {row}, {_TITLES[row % 5] or 'plain'}."
    attributes = {"colour": ("red", "blue", "")[number % 3], "price": str(number)}
    if number % 4 == 0:
        attributes["größe"] = "XL"
    item = Item(f"item-{number:03}é", folder / "photos" / f"{number}.png", _TITLES[number % 5], attributes)
    sha256 = hashlib.sha256(caption.encode()).hexdigest()
    return GroundedItem(item, sha256, sha256, "Describe this product.", caption, str(row))


def write_index(folder: Path, numbers: range | list[int] = range(ITEMS), dimensions: int = 24) -> Path:
    """Write, or bring up to date, the index of these items."""
    grounding = ("f" * 64, {"name": "given", "prompt": "Describe this product.", "text_sha256": "0" * 64})
    encoder = GivenVectors(random_vectors(ROWS, dimensions))
    with EncodingWriter(folder, grounding=grounding, encoder=encoder, encoded_text="caption") as store:
        store.put([grounded(number, folder.parent) for number in numbers])
    return folder


def forge(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the manifest of a bundle and make its digest right again, as somebody with ill will would."""
    path = folder / MANIFEST_NAME
    document = json.loads(path.read_bytes())
    edit(document)
    document.pop("digest", None)
    document["digest"] = hashlib.sha256(canonical(document)).hexdigest()
    path.write_bytes(canonical(document))


def forge_file(folder: Path, name: str, data: bytes) -> None:
    """Replace a file of a bundle and make its size, sha256 and the digest right again."""
    (folder / name).write_bytes(data)

    def edit(document: dict[str, Any]) -> None:
        document["files"][name] |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    forge(folder, edit)


def all_of(path: Path) -> tuple[Any, ...]:
    """Everything that a bundle can answer with; raises if any of it cannot be had."""
    with BundleReader(path) as bundle:
        table = bundle.table()
        columns = {name: (list(column.values), column.codes.tolist()) for name, column in table.columns.items()}
        vectors = bundle.vectors.matrix()
        assert np.isfinite(vectors).all()
        rows, scores = bundle.vectors.top(vectors[0], 5)
        answers = (rows.tolist(), scores.tolist(), bundle.ids_at(rows.tolist()))
        return (list(bundle.items()), list(table.ids), columns, vectors.tobytes(), answers, bundle.manifest.content)


def copy_of(path: Path, target: Path) -> Path:
    """A copy of a bundle, whatever form it has."""
    if path.is_dir():
        return Path(shutil.copytree(path, target))
    return Path(shutil.copy(path, target))
