"""Golden outputs: does this machine's copy of a model give what the model gave where it was exported?

The manifest holds the first values of a few vectors and the captions of reference photos. This module only
compares; the caller hands in the running model, so that nothing heavy is imported here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Encode = Callable[[Sequence[str]], NDArray[np.float32]]
    Caption = Callable[[Path], str]

# Largest difference of one value of a unit vector. A value of a 384-wide unit vector is about 0.05, so a
# wrong pooling or a missing normalisation is far outside of both. int8 differs between CPUs with and without
# VNNI (onnxruntime issue 14642); float differs in its last bits only.
INT8_TOLERANCE = 0.02
FLOAT_TOLERANCE = 0.002
# A unit vector's length; float32 keeps it to about 1e-6, float16 to about 1e-3.
LENGTH_TOLERANCE = 0.005
# Greedy decoding may turn at a near tie, since kernels sum in another order on another CPU; from there on
# the words differ. Below this share of common words the model is not the same.
CAPTION_AGREEMENT = 0.6


@dataclass(frozen=True)
class GoldenReport:
    """How near a model comes to its golden outputs.

    ``worst_difference`` is the largest absolute difference of a vector's value (0 without vectors);
    ``caption_agreement`` the lowest share of common words (1 without captions), ``same_captions`` how many
    were equal to the letter.
    """

    vectors: int
    worst_difference: float
    captions: int
    same_captions: int
    caption_agreement: float


def check_vectors(manifest: Manifest, encode: Encode) -> GoldenReport:
    """Encode the golden texts and compare with the manifest.

    ``encode`` takes n texts and returns float unit vectors of shape (n, dimensions).

    Raises:
        ModelError: the manifest has no golden vectors, or one differs by more than the tolerance of its type.
    """
    if not manifest.golden_vectors:
        raise ModelError(f"The manifest of {manifest.name} holds no golden vectors to compare with.")
    vectors = encode([golden.text for golden in manifest.golden_vectors])
    tolerance = INT8_TOLERANCE if manifest.quantization.get("model", "") == "int8" else FLOAT_TOLERANCE
    worst = 0.0
    for golden, vector in zip(manifest.golden_vectors, vectors, strict=True):
        length = float((vector.astype("float64") ** 2).sum()) ** 0.5
        if not abs(length - 1) <= LENGTH_TOLERANCE:
            raise ModelError(f"{manifest.name} gives a vector of length {length:.4f} for {golden.text!r}, not 1.")
        differences = [
            abs(float(found) - expected) for found, expected in zip(vector, golden.first_values, strict=False)
        ]
        worst = max([worst, *differences])
        if not worst <= tolerance:
            raise ModelError(
                f"{manifest.name} does not give its golden vector for {golden.text!r}: "
                f"a value differs by {worst:.4f}, more than {tolerance}. "
                "The copy or its settings (pooling, prefix) are not those that were exported."
            )
    return GoldenReport(len(manifest.golden_vectors), worst, 0, 0, 1.0)


def check_captions(manifest: Manifest, folder: Path, caption: Caption) -> GoldenReport:
    """Caption the reference photos in ``folder`` and compare with the manifest, word by word.

    Raises:
        ModelError: the manifest has no golden captions, a photo is missing, or a caption has too few words
        in common.
    """
    if not manifest.golden_captions:
        raise ModelError(f"The manifest of {manifest.name} holds no golden captions to compare with.")
    same, lowest = 0, 1.0
    for golden in manifest.golden_captions:
        photo = folder / golden.image
        if not photo.is_file():
            raise ModelError(f"The reference photo {photo} is missing; pull or export {manifest.name} again.")
        found = caption(photo)
        same += found.strip() == golden.caption.strip()
        agreement = difflib.SequenceMatcher(
            None, found.lower().split(), golden.caption.lower().split(), autojunk=False
        ).ratio()
        lowest = min(lowest, agreement)
        if agreement < CAPTION_AGREEMENT:
            raise ModelError(
                f"{manifest.name} does not give its golden caption for {golden.image}: "
                f"it says {found!r} instead of {golden.caption!r}."
            )
    return GoldenReport(0, 0.0, len(manifest.golden_captions), same, lowest)
