"""Vectors of items, [items, dimensions], float32: of texts, and of two vectors made one.

A row is of unit length, or zero for an item of which nothing is known: it adds nothing to a profile and is recommended
after all that is like the history.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vlm4rec_edge import OnnxEncoder

# Vectors are kept in files of so many texts: a run that was stopped loses a minute at most.
_BLOCK = 1024
_PROJECTION_SEED = 0


def text_vectors(encoder: OnnxEncoder, texts: Sequence[str], folder: Path, say: Callable[[str], None]) -> np.ndarray:
    """Return the vectors of texts by the package's encoder, equal ones for equal texts; kept in ``folder``."""
    place = folder / encoder.fingerprint[:16]
    place.mkdir(parents=True, exist_ok=True)
    vectors = np.zeros((len(texts), encoder.dimensions), np.float32)
    distinct = [text for text in dict.fromkeys(texts) if text]
    at = {text: number for number, text in enumerate(distinct)}
    blocks = []
    for first in range(0, len(distinct), _BLOCK):
        some = distinct[first : first + _BLOCK]
        path = place / f"{hashlib.sha256(chr(0).join(some).encode()).hexdigest()[:24]}.npy"
        if not path.is_file():
            began = time.monotonic()
            part = path.with_suffix(".part.npy")
            np.save(part, encoder.encode(some))
            part.replace(path)
            say(
                f"{first + len(some):,} of {len(distinct):,} texts, {len(some) / (time.monotonic() - began):.0f} texts/s"
            )
        blocks.append(np.load(path))
    if blocks:
        known = np.concatenate(blocks)
        for number, text in enumerate(texts):
            if text:
                vectors[number] = known[at[text]]
    return vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors scaled to unit length; zero ones stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def project(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """Return vectors in another number of dimensions, cosines nearly kept, of unit length.

    A Gaussian random projection: every entry of the matrix is drawn from N(0, 1 / dimensions) with a fixed seed (Johnson
    and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984). It learns nothing, so it favours no row.
    """
    generator = np.random.default_rng(_PROJECTION_SEED)
    matrix = generator.standard_normal((vectors.shape[1], dimensions)) / np.sqrt(dimensions)
    return unit(vectors @ matrix.astype(np.float32))


def average(vision: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Return the 50/50 average of unit vectors of equal dimensions, scaled to unit length."""
    return unit((vision + text) / 2)


def concatenation(vision: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Return both unit vectors side by side, scaled to unit length: the cosine of two items is the mean of both cosines."""
    return unit(np.concatenate([vision, text], axis=1))
