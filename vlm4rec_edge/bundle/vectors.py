"""Vectors in half or a quarter of their size, and the exact search over them.

On the captions of 9,608 products and 2,000 histories of 1 to 10 of them, the ten best by float16 are those by float32 in
99.9 %, by int8 in 98.2 % (benchmarks/bundle.py). So float16 is what a bundle holds unless somebody asks for less.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, get_args

import numpy as np

from vlm4rec_edge.bundle.sections import Section
from vlm4rec_edge.errors import BundleError, UsageError
from vlm4rec_edge.index.exact import best_of

VectorType = Literal["float32", "float16", "int8"]
DEFAULT_TYPE: VectorType = "float16"
_DTYPES: Mapping[str, str] = {"float32": "<f4", "float16": "<f2", "int8": "|i1"}
_STEPS = 127
# A vector of zeros has no scale; it is no unit vector, and is refused when the bundle is opened.
_TINY = np.float32(1e-30)

# Up to here the first question makes a float32 copy: 30 MB (at 384 dimensions), as large as what an index maps. More
# vectors are widened block by block, so that memory stays flat.
COPY_LIMIT = 20_000
# 1.5 MB of float32 (at 384 dimensions), which stay in a core's cache between widening and multiplying.
_BLOCK_ROWS = 1024
# int8 leaves a vector's length right to half a step in each direction; more is no rounding.
_LENGTH_TOLERANCE = 0.02


def check_vector_type(name: str) -> VectorType:
    """Return ``name`` if it is one of the choices.

    Raises:
        UsageError: it is not.
    """
    if name not in get_args(VectorType):
        raise UsageError(f"{name!r} is not a type of vectors; choose one of {', '.join(get_args(VectorType))}.")
    return name  # type: ignore[return-value]  # just checked


def packed_sections(rows: int, dimensions: int, kind: VectorType) -> tuple[Section, ...]:
    """Return how the file of so many vectors is laid out."""
    values = Section("vectors", _DTYPES[kind], rows * dimensions)
    return (Section("scales", "<f4", rows), values) if kind == "int8" else (values,)


def packed(blocks: Callable[[], Iterator[np.ndarray]], kind: VectorType) -> list[Iterable[np.ndarray]]:
    """Return the sections of unit vectors, float32, that come in blocks [n, dimensions], as often as they are asked for.

    int8 is symmetric, a scale a row: ``scale = max |v| / 127``, ``q = round(v / scale)``, ``v ~ scale * q``.
    """
    if kind != "int8":
        return [(block.astype(_DTYPES[kind]) for block in blocks())]
    return [
        map(_scales, blocks()),
        (np.rint(block / np.maximum(_scales(block), _TINY)[:, None]).astype(np.int8) for block in blocks()),
    ]


def _scales(block: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(block).max(axis=1) / _STEPS, dtype="<f4")


class PackedVectors:
    """Unit vectors [rows, dimensions] as a bundle holds them; what is taken out of them is float32.

    ``packed[rows]`` gives vectors, ``len`` and ``shape`` are those of a matrix. Reading from several threads is safe.

    Raises:
        BundleError: the arrays are not those of so many vectors, or a vector is not of length one.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], kind: str, shape: tuple[int, int], place: str) -> None:
        names = {"vectors", "scales"} if kind == "int8" else {"vectors"}
        right = set(arrays) == names and arrays["vectors"].dtype.str == _DTYPES.get(kind)
        if not right or arrays["vectors"].size != shape[0] * shape[1]:
            raise BundleError(f"{place} does not hold {shape[0]} vectors of type {kind}; get the bundle again.")
        self.shape = shape
        self._values = arrays["vectors"].reshape(shape)
        self._scales = arrays.get("scales")
        if self._scales is not None and (self._scales.dtype.str, self._scales.size) != ("<f4", shape[0]):
            raise BundleError(f"{place} does not hold a scale for every vector; get the bundle again.")
        self._copy: np.ndarray | None = None
        self._lock = threading.Lock()
        self._check_lengths(place)

    def _check_lengths(self, place: str) -> None:
        with np.errstate(all="ignore"):  # not-a-number and overflow are what is looked for
            for _, block in self._blocks():
                lengths = np.einsum("ij,ij->i", block, block)
                if not (np.abs(np.sqrt(lengths) - 1.0) <= _LENGTH_TOLERANCE).all():
                    raise BundleError(f"{place} holds vectors that are not of length one; get the bundle again.")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray | list[int]) -> np.ndarray:
        values = self._values[rows].astype(np.float32)
        return values if self._scales is None else values * self._scales[rows, ..., None]

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first; equal scores in row order."""
        scores = self.scores(query)
        best = best_of(scores, None, count)
        return best, scores[best]

    name = "exact"

    def scores(self, query: np.ndarray) -> np.ndarray:
        """Return the inner product of ``query`` [dimensions] and every vector, [rows], float32."""
        query = np.asarray(query, dtype=np.float32)
        if len(self) <= COPY_LIMIT:
            return np.asarray(self.matrix() @ query)
        scores = np.empty(len(self), dtype=np.float32)
        for start, block in self._blocks():
            scores[start : start + len(block)] = block @ query
        return scores

    def matrix(self) -> np.ndarray:
        """Return all vectors as one float32 matrix [rows, dimensions]; kept, so only for few or for a while."""
        with self._lock:
            if self._copy is None:
                self._copy = self[:]
            return self._copy

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self), _BLOCK_ROWS):
            yield start, self[start : start + _BLOCK_ROWS]
