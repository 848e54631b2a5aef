"""The vector file: rows of float32, appended and memory-mapped."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import StoreError

# Little-endian on every machine, so that a store can be copied between them.
DTYPE = np.dtype("<f4")
# Rows that no item has any more are kept, because an item may come back; beyond this share the file is rewritten.
_ORPHAN_SHARE = 0.2
# Below this many rows the file is too small for its size to matter.
_COMPACT_FROM = 1000


def vector_file_name(encoder_fingerprint: str, generation: int) -> str:
    """Return the name of a vector file. Two encoders never share one, nor do the states before and after compaction."""
    return f"vectors-{encoder_fingerprint[:16]}-{generation}.f32"


def next_generation(folder: Path, current: int, pattern: str = "vectors-*.f32") -> int:
    """Return a number above ``current`` and every file: what a reader has mapped is never written with other vectors."""
    numbers = [path.stem.rpartition("-")[2] for path in folder.glob(pattern)]
    return max([current, *(int(number) for number in numbers if number.isdecimal())]) + 1


def is_sparse(rows: int, live: int) -> bool:
    """Whether so few of the rows of a vector file are those of an item that it is worth rewriting."""
    return rows >= _COMPACT_FROM and rows - live > _ORPHAN_SHARE * rows


def map_vectors(path: Path, rows: int, dimensions: int) -> np.ndarray:
    """Return the first ``rows`` vectors as a read-only memory map, shape [rows, dimensions], float32.

    Raises:
        StoreError: the file is missing or shorter than the database says.
    """
    if rows == 0:
        return np.zeros((0, dimensions), dtype=DTYPE)
    needed = rows * dimensions * DTYPE.itemsize
    try:
        size = path.stat().st_size
        if size < needed:
            raise StoreError(f"{path} has {size} bytes, {needed} are needed; run: vlm4rec-edge repair {path.parent}")
        return np.memmap(path, dtype=DTYPE, mode="r", shape=(rows, dimensions))
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); run: vlm4rec-edge repair {path.parent}") from error


def append_vectors(path: Path, row: int, vectors: np.ndarray) -> None:
    """Write ``vectors`` [n, dimensions] as rows ``row`` and following, and force them to disk.

    Called before the database learns of the rows: what a crash leaves behind is overwritten by the next run.

    Raises:
        StoreError: the disk is full, the file cannot be written, or it is shorter than the rows before need.
    """
    data = np.ascontiguousarray(vectors, dtype=DTYPE)
    start = row * data.shape[1] * DTYPE.itemsize
    is_new = not path.exists()
    if start > (0 if is_new else path.stat().st_size):
        raise StoreError(f"{path} has lost vectors; run: vlm4rec-edge repair {path.parent}")
    try:
        with path.open("w+b" if is_new else "r+b") as stream:
            stream.seek(start)
            stream.write(data.tobytes())
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            _force_name_to_disk(path.parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}. What was finished before is kept.") from error


def vector_crc32(vector: np.ndarray) -> int:
    """Return the CRC-32 of a row of the file."""
    return zlib.crc32(vector.astype(DTYPE, copy=False).tobytes())


def _force_name_to_disk(folder: Path) -> None:
    """Make a new file's name survive a power cut; its content alone does not (fsync(2))."""
    if os.name == "nt":  # a folder cannot be opened there, and NTFS logs names by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
