"""The vector file: rows of float32, appended and memory-mapped."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import StoreError

# Little-endian on every machine, so that a store can be copied between them.
DTYPE = np.dtype("<f4")


def vector_file_name(encoder_fingerprint: str, generation: int) -> str:
    """Return the name of a vector file. Two encoders never share one, nor do the states before and after compaction."""
    return f"vectors-{encoder_fingerprint[:16]}-{generation}.f32"


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
        raise StoreError(
            f"{path} can not be read ({error.strerror}); run: vlm4rec-edge repair {path.parent}"
        ) from error


def append_vectors(path: Path, row: int, vectors: np.ndarray) -> list[int]:
    """Write ``vectors`` [n, dimensions] as rows ``row`` and following, force them to disk, and return their CRC-32s.

    Called before the database learns of the rows: what a crash leaves behind is overwritten by the next run.

    Raises:
        StoreError: the disk is full or the file can not be written.
    """
    data = np.ascontiguousarray(vectors, dtype=DTYPE)
    try:
        with path.open("r+b" if path.exists() else "w+b") as stream:
            stream.seek(row * data.shape[1] * DTYPE.itemsize)
            stream.write(data.tobytes())
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise StoreError(f"{path} can not be written: {error.strerror}. What was finished before is kept.") from error
    return [zlib.crc32(vector.tobytes()) for vector in data]
