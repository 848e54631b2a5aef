"""The views of a photo are mtmd's to the last bit: a tower without layers, whose weights are all one, shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_projectors import SMALL, TEXT_WIDTH, write_projector
from PIL import Image

from vlm4rec_edge.grounding.vision.projector import TowerShape
from vlm4rec_edge.grounding.vision.views import views

_PATCH, _MERGE = 4, 2
_VALUES = 3 * _PATCH**2
_PLAIN = replace(SMALL, side=32, patch=_PATCH, width=_VALUES, hidden=1, layers=0, heads=1, merge=_MERGE)
# Width and height: tiny, tiles exactly, one pixel more, wide, tall, a line, large.
SIZES = [(1, 1), (32, 32), (33, 32), (96, 96), (97, 40), (300, 40), (40, 301), (8, 200), (320, 240), (95, 64), (17, 23)]


def photo(width: int, height: int) -> np.ndarray:
    """Fields with sharp edges under noise: whatever resizes otherwise shows it."""
    chance = np.random.default_rng(width * 1000 + height)
    fields = Image.fromarray(chance.integers(0, 256, (5, 4, 3), np.uint8))
    whole = np.asarray(fields.resize((width, height), Image.Resampling.NEAREST)).astype(np.int16)
    return (whole + chance.integers(-20, 21, whole.shape)).clip(0, 255).astype(np.uint8)


def showing(path: Path, shape: TowerShape) -> Path:
    """A projector whose embeddings are the pixels of its views."""
    kernel = np.eye(_VALUES, dtype=np.float32).reshape(_VALUES, 3, _PATCH, _PATCH)
    end = np.zeros((TEXT_WIDTH, _VALUES * _MERGE**2), np.float32)
    np.fill_diagonal(end, 1)
    places = np.zeros((shape.grid**2, _VALUES), np.float32)
    weights = {"v.patch_embd.weight": kernel, "v.position_embd.weight": places, "mm.model.fc.weight": end}
    return write_projector(path, shape, weights)


def shown(tokens: np.ndarray, shape: TowerShape) -> np.ndarray:
    """The view [3, side, side] that such embeddings [tokens, 256] are."""
    side = shape.grid // _MERGE
    values = tokens[:, : _VALUES * _MERGE**2].reshape(side, side, _MERGE, _MERGE, 3, _PATCH, _PATCH)
    return values.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, shape.side, shape.side)


def levels(view: np.ndarray, shape: TowerShape) -> np.ndarray:
    """The pixels [side, side, 3], in 0 to 255, of a view; mtmd rounds them to 16 bits on their way, far less than a level."""
    found = (view.transpose(1, 2, 0) * shape.std + shape.mean) * 255
    assert np.abs(found - np.rint(found)).max() < 0.1
    return np.rint(found)


@pytest.mark.parametrize("longest_edge", [32, 64, 96, 160, 0], ids="{} pixels".format)
def test_views_are_those_of_mtmd_whatever_the_photo(
    tmp_path: Path, by_mtmd: Callable[[Path, list[np.ndarray]], list[list[np.ndarray]]], longest_edge: int
) -> None:
    shape = replace(_PLAIN, longest_edge=longest_edge)
    photos = [photo(*size) for size in SIZES]
    counts = set()
    for size, pixels, theirs in zip(
        SIZES, photos, by_mtmd(showing(tmp_path / "mmproj.gguf", shape), photos), strict=True
    ):
        own = views(pixels, shape)
        counts.add(len(own))
        assert own.dtype == np.float32
        assert len(own) == len(theirs), size
        for view, tokens in zip(own, theirs, strict=True):
            assert np.array_equal(levels(view, shape), levels(shown(tokens, shape), shape)), size
    assert len(counts) > 1 or longest_edge == 32
