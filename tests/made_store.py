"""Stores of given vectors, for what needs more items, or other vectors, than a model makes in the time of a test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.items import Item
from vlm4rec_edge.store.writer import GroundedItem, StoreWriter


class GivenVectors:
    """What the store needs of an encoder: the text ``"7"`` has row 7 of a matrix as its vector."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        self.dimensions = matrix.shape[1]
        self.fingerprint = hashlib.sha256(f"given, {self.dimensions} wide".encode()).hexdigest()
        self.provenance: dict[str, Any] = {"name": "given", "dimensions": self.dimensions}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the rows that the texts name; a text that names none (the store's own check) gets the first axis."""
        first = np.eye(1, self.dimensions, dtype=np.float32)[0]
        rows = [self.matrix[int(text)] if text.isdecimal() else first for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), self.dimensions)


def unit(vectors: Any) -> np.ndarray:
    """Scale rows to length one."""
    matrix = np.asarray(vectors, dtype=np.float32)
    return matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)


def random_vectors(count: int, dimensions: int = 32, seed: int = 1) -> np.ndarray:
    """Unit vectors that point anywhere."""
    return unit(np.random.default_rng(seed).normal(size=(count, dimensions)))


def write_store(
    folder: Path,
    vectors: np.ndarray,
    items: Sequence[tuple[str, int]] | None = None,
    *,
    attributes: Mapping[str, Mapping[str, str]] | None = None,
    captions: Mapping[str, str] | None = None,
) -> Path:
    """Write a store and return its folder.

    Args:
        folder: Where; if a store is there already, it is brought up to date.
        vectors: Unit vectors [rows, dimensions].
        items: Id and row of each item; default: one a row, called ``item-<row>``.
        attributes: Further columns of the items that have some.
        captions: Captions of items; without any, items are stored as if only titles were encoded.
    """
    entries = [(f"item-{row}", row) for row in range(len(vectors))] if items is None else items
    attributes, grounding = attributes or {}, ("made", {"name": "made", "prompt": "What?"}) if captions else None
    captions = captions or {}
    kind = "caption" if grounding else "title"
    with StoreWriter(folder, grounding=grounding, encoder=GivenVectors(vectors), encoded_text=kind) as store:
        store.write(
            [
                GroundedItem(
                    Item(name, folder / "none.png", f"title of {name}", attributes.get(name, {})),
                    "",
                    f"caption of {name}" if name in captions else None,
                    "",
                    captions.get(name, ""),
                    str(row),
                )
                for name, row in entries
            ]
        )
    return folder
