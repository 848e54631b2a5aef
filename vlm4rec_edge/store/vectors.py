"""The vector file: rows of float32, appended and memory-mapped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import StoreError

# Little-endian on every machine, so that a store can be copied between them.
DTYPE = np.dtype("<f4")


def vector_file_name(encoder_fingerprint: str) -> str:
    """Return the name of the vector file of one encoder; vectors of two encoders never share a file."""
    return f"vectors-{encoder_fingerprint[:16]}.f32"


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
            raise StoreError(
                f"{path} has {size} bytes, {needed} are needed; run `vlm4rec-edge index` again to remake it."
            )
        return np.memmap(path, dtype=DTYPE, mode="r", shape=(rows, dimensions))
    except OSError as error:
        raise StoreError(
            f"{path} can not be read ({error.strerror}); run `vlm4rec-edge index` again to remake it."
        ) from error


def append_vectors(path: Path, row: int, vectors: np.ndarray) -> None:
    """Write ``vectors`` [n, dimensions] as rows ``row`` and following, and force them to disk.

    Called before the database learns of the rows: what a crash leaves behind is overwritten by the next run.
    """
    data = np.ascontiguousarray(vectors, dtype=DTYPE)
    with path.open("r+b" if path.exists() else "w+b") as stream:
        stream.seek(row * data.shape[1] * DTYPE.itemsize)
        stream.write(data.tobytes())
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())
