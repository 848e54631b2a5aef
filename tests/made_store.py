"""Stores of given vectors, for what needs more items, or other vectors, than a model makes in the time of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import EncodedText
from vlm4rec_edge.indexing.run import checked_golden
from vlm4rec_edge.items import Item
from vlm4rec_edge.provenance import MadeBy, made_by
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.making import Making
from vlm4rec_edge.store.writer import BatchCounts, StoreWriter


class GivenVectors:
    """What the store needs of an encoder: the text ``"7"`` has row 7 of a matrix as its vector."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        self.dimensions = matrix.shape[1]
        self.identity: dict[str, Any] = {"name": "given", "given": True, "dimensions": self.dimensions}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the rows that the texts name; a text that names none (the store's own check) gets the first axis."""
        first = np.eye(1, self.dimensions, dtype=np.float32)[0]
        rows = [self.matrix[int(text)] if text.isdecimal() else first for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), self.dimensions)


class EncodingWriter(StoreWriter):
    """A store writer with a run begun, and an encoder for what is put into it."""

    def __init__(
        self,
        folder: Path,
        *,
        grounding: tuple[str, Mapping[str, Any]] | None,
        encoder: Encoder,
        encoded_text: EncodedText,
        photo_vectors_by: MadeBy | None = None,
    ) -> None:
        super().__init__(folder)
        self.encoder = encoder
        try:
            self.begin_run(
                Making(
                    MadeBy(*grounding) if grounding else None,
                    made_by(encoder),
                    encoder.dimensions,
                    checked_golden(self, encoder),
                    encoded_text,
                    photo_vectors_by=photo_vectors_by,
                )
            )
        except BaseException:
            self.close()
            raise

    def put(self, batch: Sequence[GroundedItem]) -> BatchCounts:
        """Encode what has no vector yet, and write."""
        texts = self.without_vector([entry.text for entry in batch])
        return self.write(batch, dict(zip(texts, self.encoder.encode(texts), strict=True)))


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
    kind: EncodedText = "caption" if grounding else "title"
    with EncodingWriter(folder, grounding=grounding, encoder=GivenVectors(vectors), encoded_text=kind) as store:
        store.put(
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
