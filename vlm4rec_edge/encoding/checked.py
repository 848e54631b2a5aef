"""Encode, and look whether the encoder keeps its promise: a vector that is none would damage an index without a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.errors import ModelError

# Float32 rounding of a unit vector stays far below this.
LENGTH_TOLERANCE = 1e-3


def encoded(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors of ``texts``, shape [len(texts), dimensions], float32, each of length 1.

    Raises:
        ModelError: the encoder gives something else.
    """
    name, width = encoder.identity.get("name"), getattr(encoder, "dimensions", None)
    if not isinstance(width, (int, np.integer)) or width < 1 or not hasattr(encoder, "encode"):
        raise ModelError(f"{name} is no encoder: it needs dimensions, a number from 1 on (not {width!r}), and encode.")
    vectors = encoder.encode(texts)
    form = (vectors.dtype, vectors.shape) if isinstance(vectors, np.ndarray) else None
    if form != (np.dtype(np.float32), (len(texts), width)):
        gave = f"{form[0]} of shape {list(form[1])}" if form else f"a {type(vectors).__name__}"
        raise ModelError(
            f"The encoder {name} gives {gave} for {len(texts)} texts, not float32 of [{len(texts)}, {width}]."
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    for text, length in zip(texts, lengths.tolist(), strict=True):
        if not abs(length - 1) <= LENGTH_TOLERANCE:  # "not", because NaN is no length either
            raise ModelError(f"The encoder {name} gives a vector of length {length:.3g}, not 1, for {text!r:.80}.")
    return vectors
