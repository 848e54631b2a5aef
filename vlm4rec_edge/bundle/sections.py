"""Arrays in one file: one after the other, little-endian, and told apart by a list that the manifest carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.errors import BundleError

# A cache line; every array starts at a multiple of it, so that numpy can compute on the mapped bytes themselves.
ALIGNMENT = 64
_DTYPES = frozenset({"|u1", "|i1", "<u2", "<u4", "<f2", "<f4"})


@dataclass(frozen=True)
class Section:
    """One array of a file: its name, its numpy dtype and how many values it has."""

    name: str
    dtype: str
    count: int

    @property
    def size(self) -> int:
        """Bytes, without the padding behind it."""
        return self.count * np.dtype(self.dtype).itemsize


def section_of(name: str, values: np.ndarray) -> Section:
    """Return how an array is noted in the manifest."""
    return Section(name, values.dtype.newbyteorder("<").str, values.size)


def file_size(sections: Sequence[Section]) -> int:
    """Return the bytes of a file of these sections."""
    return sum(_padded(section.size) for section in sections)


def written(sections: Iterable[Iterable[np.ndarray]]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a file; each section comes in one or more arrays, so that a large one need not be in memory."""
    for arrays in sections:
        size = 0
        for values in arrays:
            data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            size += data.size
            yield data.data
        yield bytes(_padded(size) - size)


def view(buffer: memoryview, sections: Sequence[Section], place: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, flat and read-only; nothing is copied.

    Raises:
        BundleError: the list does not fit the file.
    """
    if any(section.dtype not in _DTYPES or section.count < 0 for section in sections):
        raise BundleError(f"{place} holds arrays of a kind that no bundle has; get the bundle again.")
    if len({section.name for section in sections}) != len(sections) or file_size(sections) != len(buffer):
        raise BundleError(f"The arrays of {place} do not fill it exactly; get the bundle again.")
    arrays, start = {}, 0
    for section in sections:
        arrays[section.name] = np.frombuffer(buffer[start : start + section.size], dtype=section.dtype)
        start += _padded(section.size)
    return arrays


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
