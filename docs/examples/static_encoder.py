"""An encoder without a network: the mean of static word vectors, as of model2vec or GloVe. NumPy is all it needs.

``--encoder static:FOLDER`` reads ``FOLDER/words.txt``, a word a line in lower case, and ``FOLDER/vectors.npy``, a row a word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge import ModelError

_WORD = re.compile(r"\w+")


class StaticEncoder:
    """A table of word vectors; words that are not in it are passed over."""

    def __init__(self, folder: str) -> None:
        words, vectors = Path(folder, "words.txt").resolve(), Path(folder, "vectors.npy").resolve()
        try:
            lines = words.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # no other mark ends a line
            self._vectors = np.load(vectors, allow_pickle=False).astype(np.float32)
            self._sha256 = hashlib.sha256(words.read_bytes() + vectors.read_bytes()).hexdigest()
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder!r} is no folder with words.txt and vectors.npy: {error}") from None
        if self._vectors.ndim != 2 or len(lines) != len(self._vectors) or not np.isfinite(self._vectors).all():
            raise ModelError(f"{vectors} must hold one finite row for each of the {len(lines)} lines of words.txt.")
        self._rows = {word: row for row, word in enumerate(lines)}
        self._folder = words.parent

    @property
    def identity(self) -> Mapping[str, Any]:
        """The table itself; where it lies does not change a vector."""
        return {"name": f"static:{self._folder}", "static_sha256": self._sha256, "pooling": "mean"}

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, [len(texts), dimensions], float32; a text without a known word gets the first axis."""
        means = np.zeros((len(texts), self.dimensions))  # in float64, in which no float32 is too large to be squared
        for mean, text in zip(means, texts, strict=True):
            rows = [self._rows[word] for word in _WORD.findall(text.lower()) if word in self._rows]
            mean[:] = self._vectors[rows].mean(axis=0, dtype=np.float64) if rows else 0
            if not mean.any():
                mean[0] = 1
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
