"""Golden vectors of a store: does this machine compute the same vectors as the one that made it?

int8 graphs give different vectors on CPUs with and without VNNI (onnxruntime issues 5849 and 14642), and a GPU differs from
a CPU. A little does not matter; beyond the bound here, new items would not be comparable with old ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vlm4rec_edge.encoding.checked import encoded
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.errors import StoreError

_TEXTS = (
    "Black ankle boots in imitation leather with a zip in one side.",
    "Light blue striped cotton shirt for men with a turn-down collar.",
    "A small ceramic vase with a matt white glaze, for a shelf or a table.",
)
# Two captions that differ in one word of colour have a cosine of about 0.95, so 0.99 keeps items in their places.
LOWEST_COSINE = 0.99


def golden_of(encoder: Encoder) -> str:
    """Return the golden vectors of an encoder on this machine, as text for the store."""
    vectors = encoded(encoder, _TEXTS)
    return json.dumps(
        {text: [round(float(value), 6) for value in vector] for text, vector in zip(_TEXTS, vectors, strict=True)}
    )


def check_golden(golden: str, encoder: Encoder, folder: Path) -> None:
    """Compare the golden vectors of a store with what ``encoder`` makes of the same texts here.

    Raises:
        StoreError: they differ by more than ``LOWEST_COSINE`` allows.
        ModelError: the encoder gives no vectors.
    """
    expected = json.loads(golden)
    vectors = encoded(encoder, list(expected))
    noted = np.array(list(expected.values()))
    if noted.shape != vectors.shape:
        raise StoreError(
            f"The vectors of {folder} have {noted.shape[-1]} dimensions, the encoder's now {vectors.shape[-1]}, and yet "
            "both have the same identity; give the encoder that made the index."
        )
    lowest = float(((vectors * noted).sum(axis=1) / np.linalg.norm(noted, axis=1)).min())
    if not lowest >= LOWEST_COSINE:
        raise StoreError(
            f"This machine makes other vectors than the one that made {folder} (cosine {lowest:.3f}, at least "
            f"{LOWEST_COSINE} is needed). Go on there, index into a new folder, or use an encoder in full precision."
        )
