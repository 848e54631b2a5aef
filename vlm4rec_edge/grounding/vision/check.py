"""Does a graph give what mtmd's own encoder gives, and which is faster? Both encode the same pictures; tokens are compared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vlm4rec_edge.busy import busiest
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.llama.native import NativeModel
from vlm4rec_edge.grounding.llama.prepare import prepare
from vlm4rec_edge.grounding.llama.vision import encode_images
from vlm4rec_edge.grounding.vision.tower import OnnxTower
from vlm4rec_edge.grounding.vision.views import views

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.vision.graph import Precision
    from vlm4rec_edge.models.resolve import LvlmFiles

Encoded = TypeVar("Encoded")

# Width and height of the pictures: wide and tall, so that tiles lie in rows and in columns.
_SIZES = ((320, 200), (180, 300))
_FIELDS = 6
# A view that takes less is encoded again and again for so long.
_SECONDS = 0.2
# So often at least, where that takes no longer: one slow run on a busy machine is no measurement.
_RUNS, _MOST_SECONDS = 5, 2.0
_NOISE = 12


class CheckFailedError(ModelError):
    """A graph does not give what mtmd gives; it is not used."""


@dataclass(frozen=True)
class Agreement:
    """How near a graph's tokens are to mtmd's.

    Attributes:
        views, tokens: How many were compared.
        cosine_worst, cosine_mean: Of a token with mtmd's.
        length_worst: Largest difference in length, as a share of mtmd's.
        mtmd_s, onnx_s: Seconds that a view took, the quickest of those compared, with as many threads each.
        load: Threads that wanted to run in the minute before, for each core; the higher one where mtmd was timed at another
            time. None where it is not known.
    """

    views: int
    tokens: int
    cosine_worst: float
    cosine_mean: float
    length_worst: float
    mtmd_s: float = field(compare=False)
    onnx_s: float = field(compare=False)
    load: float | None = field(default=None, compare=False)

    def check(self, precision: Precision) -> None:
        """Hold it against the bounds of a precision.

        Raises:
            CheckFailedError: it is below.
        """
        worst, mean = _BOUNDS[precision]
        # Written so that a cosine that is no number fails.
        if not (self.cosine_worst >= worst and self.cosine_mean >= mean and self.length_worst <= _LENGTH):
            raise CheckFailedError(
                f"its tokens are not those of llama.cpp's own vision encoder: cosine {self.cosine_mean:.4f} on average and "
                f"{self.cosine_worst:.4f} at worst, the bounds are {mean} and {worst}; lengths differ by up to "
                f"{self.length_worst:.1%}"
            )


# Worst and mean cosine. mtmd itself rounds what it multiplies with weights of 8 or 4 bits, which costs a token some 0.0002; a
# wrong graph is far below.
_BOUNDS: dict[Precision, tuple[float, float]] = {"fp32": (0.99, 0.999), "int8": (0.96, 0.995), "bf16": (0.98, 0.998)}
_LENGTH = 0.1


@dataclass(frozen=True)
class Reference:
    """A picture and what mtmd makes of it: how many views, the tokens of some by their places, and seconds of the quickest.

    ``load`` is as in ``Agreement``.
    """

    pixels: np.ndarray
    views: int
    tokens: dict[int, np.ndarray]
    seconds: float
    load: float | None = None


def reference_pictures() -> list[np.ndarray]:
    """Return two pictures of soft and sharp edges under a little noise, [height, width, 3], uint8, always the same."""
    from PIL import Image

    pictures = []
    for number, size in enumerate(_SIZES):
        chance = np.random.default_rng(number)
        fields = Image.fromarray(chance.integers(0, 256, (_FIELDS, _FIELDS, 3), np.uint8))
        picture = np.asarray(fields.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        sharp = np.asarray(fields.resize(size, Image.Resampling.NEAREST))
        picture[:, size[0] // 2 :] = sharp[:, size[0] // 2 :]
        picture += chance.integers(-_NOISE, _NOISE + 1, picture.shape, np.int16)
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    return pictures


def ask_mtmd(
    files: LvlmFiles, pictures: Sequence[np.ndarray], *, threads: int, load: float | None = None
) -> list[Reference]:
    """Return what mtmd's tower gives for the first and the last view of each picture: a tile, and the overview.

    More would take minutes: mtmd needs seconds for a view of a larger model.

    Args:
        files: The model.
        pictures: Each [height, width, 3], uint8.
        threads: Of mtmd.
        load: Of the machine, which is noted.

    Raises:
        ModelError, PhotoError: llama.cpp cannot load the pair or cannot encode a picture.
    """
    references = []
    context = files.settings.context_length
    with NativeModel(files, device="cpu", threads=threads, slots=1, context=context) as native:
        for pixels in pictures:
            photo = prepare(native, "", pixels, native.mtmd.mtmd_default_marker().decode())
            try:
                images = photo.images()
                places = sorted({0, len(images) - 1})
                timed = [_timed(partial(encode_images, native, [images[place]])) for place in places]
            finally:
                photo.free()
            tokens = {place: one for place, ([one], _) in zip(places, timed, strict=True)}
            references.append(Reference(pixels, len(images), tokens, min(seconds for _, seconds in timed), load))
    return references


def compare(
    graph_file: Path,
    references: Sequence[Reference],
    *,
    precision: Precision,
    threads: int,
    load: float | None = None,
) -> Agreement:
    """Encode the same views with a graph and compare, in a thread of its own, where llama.cpp never computes.

    Args:
        graph_file: Where the graph lies.
        references: What mtmd makes of the pictures.
        precision: Of the graph.
        threads: Of the graph.
        load: Of the machine, which is noted.

    Raises:
        ModelError: ONNX Runtime, or OpenVINO in ``bf16``, cannot load the graph.
        CheckFailedError: it makes another number of views or tokens of a picture than mtmd.
    """
    with ThreadPoolExecutor(1) as own_thread:
        pairs, seconds = own_thread.submit(_pairs, graph_file, references, precision, threads).result()
    own, theirs = (np.concatenate(tokens).astype(np.float64) for tokens in zip(*pairs, strict=True))
    lengths, expected = np.linalg.norm(own, axis=1), np.linalg.norm(theirs, axis=1)
    cosines = (own * theirs).sum(axis=1) / (lengths * expected)
    return Agreement(
        views=len(pairs),
        tokens=len(cosines),
        cosine_worst=float(cosines.min()),
        cosine_mean=float(cosines.mean()),
        length_worst=float(np.abs(lengths / expected - 1).max()),
        mtmd_s=min(reference.seconds for reference in references),
        onnx_s=seconds,
        load=busiest(load, *(reference.load for reference in references)),
    )


def _timed(encode: Callable[[], Encoded]) -> tuple[Encoded, float]:
    """Return what was encoded and how long it took; what is quick is done again, as chance weighs more there."""
    quickest, spent = math.inf, 0.0
    for run in count(1):
        started = time.perf_counter()
        encoded = encode()
        took = time.perf_counter() - started
        quickest, spent = min(quickest, took), spent + took
        if spent >= (_SECONDS if run >= _RUNS else _MOST_SECONDS):
            break
    return encoded, quickest


def _pairs(
    graph_file: Path, references: Sequence[Reference], precision: Precision, threads: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], float]:
    """Return the graph's tokens and mtmd's, view by view, and the seconds of the graph's quickest view."""
    pairs, seconds = [], math.inf
    with OnnxTower.open(graph_file, threads, precision=precision) as tower:
        for reference in references:
            own_views = views(reference.pixels, tower.shape)
            if len(own_views) != reference.views:
                raise CheckFailedError(f"it makes {len(own_views)} views of a picture, llama.cpp {reference.views}")
            for place, theirs in reference.tokens.items():
                own, took = _timed(partial(tower.encode_view, own_views[place]))
                seconds = min(seconds, took)
                if own.shape != theirs.shape:
                    raise CheckFailedError(f"it makes tokens of the shape {own.shape}, llama.cpp {theirs.shape}")
                pairs.append((own, theirs))
    return pairs, seconds
