"""Vectors as they can be kept on disk, and searched: float32 down to one bit a value, exactly or by a graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vlm4rec_edge.bundle.vectors import PackedVectors, packed
from vlm4rec_edge.index import SavedIndex
from vlm4rec_edge.index.exact import ExactIndex, best_of
from vlm4rec_edge.index.hnsw import EF_CONSTRUCTION, LINKS, HnswIndex

# Bits find so many times more rows than are wanted, and the finer vectors put them in order: the factor of the source below.
RESCORED = 4
# The package's own: the same rows give the same graph when one thread builds it.
_GRAPH_SEED = 100
_BIT_COUNTS = np.array([bin(value).count("1") for value in range(256)], np.uint8)


class Searched(Protocol):
    """What answers questions: the rows nearest to a vector."""

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first."""
        ...


@dataclass(frozen=True)
class Opened:
    """Vectors that lie in a folder: ``vectors[rows]`` gives float32, of which profiles are made; ``index`` searches."""

    vectors: Any
    index: Searched


class BinaryVectors:
    """The sign of every value, one bit each; searched by the inner product of the question and +-1 / sqrt(dimensions).

    With ``fine`` vectors the bits only choose ``RESCORED`` times as many rows as are wanted, by the Hamming distance to
    the question's own bits, and those are put in order by them. Source: Shakir, Aarsen and Lee, "Binary and Scalar
    Embedding Quantization for Significantly Faster & Cheaper Retrieval", huggingface.co/blog/embedding-quantization, 2024.
    """

    def __init__(self, bits: np.ndarray, dimensions: int, fine: PackedVectors | None = None) -> None:
        self._bits, self._dimensions, self._fine = bits, dimensions, fine

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return unit vectors of the rows, float32."""
        signs = np.unpackbits(self._bits[rows], axis=-1, count=self._dimensions).astype(np.float32)
        return np.asarray((2 * signs - 1) / np.sqrt(np.float32(self._dimensions)), np.float32)

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first; equal scores in row order."""
        if self._fine is None:
            scores = self[:] @ query
            best = best_of(scores, None, count)
            return best, scores[best]
        own = np.packbits(query > 0)
        distances = _BIT_COUNTS[np.bitwise_xor(self._bits, own)].sum(axis=1, dtype=np.int32)
        found = best_of(-distances, None, RESCORED * count)
        scores = self._fine[found] @ query
        best = best_of(scores, found, count)
        return found[best], scores[best]


def write_stored(vectors: np.ndarray, form: str, search: str, folder: Path) -> None:
    """Write unit vectors [rows, dimensions], float32, in one of ``VECTOR_FORMS`` and, for ``hnsw``, the graph over them."""
    folder.mkdir(parents=True, exist_ok=True)
    coarse, _, fine = form.partition("-")
    if coarse == "binary":
        np.save(folder / "bits.npy", np.packbits(vectors > 0, axis=1))
    if coarse != "binary" or fine:
        sections = packed(lambda: iter([vectors]), fine or form)  # type: ignore[arg-type]  # a form of the package
        for name, blocks in zip(["scales", "vectors"] if len(sections) == 2 else ["vectors"], sections, strict=True):
            np.save(folder / f"{name}.npy", np.concatenate(list(blocks)))
    if search == "hnsw":
        graph = _graph(vectors.shape[1])
        graph.init_index(max_elements=len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=_GRAPH_SEED)
        graph.add_items(vectors, np.arange(len(vectors)), num_threads=1)
        graph.save_index(str(folder / "graph.bin"))


def open_stored(folder: Path, form: str, search: str, dimensions: int) -> Opened:
    """Open what ``write_stored`` wrote; files are mapped where the package would map them."""
    coarse, _, fine = form.partition("-")
    if coarse == "binary":
        bits = np.load(folder / "bits.npy", mmap_mode="r")
        if not fine:
            own = BinaryVectors(bits, dimensions)
            return Opened(own, own)
        finer = _packed(folder, fine)
        return Opened(finer, BinaryVectors(bits, dimensions, finer))
    if form != "float32":
        own_packed = _packed(folder, form)
        return Opened(own_packed, own_packed)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    if search == "exact":
        return Opened(vectors, ExactIndex(vectors))
    graph = HnswIndex()
    graph.load(folder / "graph.bin", vectors)
    return Opened(vectors, SavedIndex(graph, vectors, len(vectors)))


def stored_bytes(folder: Path) -> int:
    """Return the bytes of what ``write_stored`` wrote."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _packed(folder: Path, form: str) -> PackedVectors:
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy") if path.stem != "bits"}
    return PackedVectors(arrays, form, arrays["vectors"].shape, str(folder))


def _graph(dimensions: int) -> Any:
    import hnswlib

    return hnswlib.Index(space="ip", dim=dimensions)
