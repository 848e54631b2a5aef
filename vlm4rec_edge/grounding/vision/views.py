"""A photo as its views: what mtmd makes of it before its tower sees it, done again in Pillow, to the last bit.

mtmd's resizing is Pillow's own arithmetic, and it hands out no pixels. Source of the rules: ``tools/mtmd/mtmd-image.cpp`` of
llama.cpp (``mtmd_image_preprocessor_idefics3``, ``mtmd_image_preprocessor_fixed_size``, ``img_tool``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

    from vlm4rec_edge.grounding.vision.projector import TowerShape


def views(pixels: np.ndarray, shape: TowerShape) -> np.ndarray:
    """Return what the tower looks at, in the order of mtmd's image chunks: tiles row by row, then the overview.

    Args:
        pixels: Photo, [height, width, 3], uint8, RGB.
        shape: Of the tower.

    Returns:
        Array [views, 3, side, side], float32, normalised.
    """
    mean, std = np.array(shape.mean, np.float32), np.array(shape.std, np.float32)
    tiles = np.stack([np.asarray(view) for view in _pictures(pixels, shape)])
    normalised = (tiles.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


def _pictures(pixels: np.ndarray, shape: TowerShape) -> Iterator[Image]:
    from PIL import Image

    photo = Image.fromarray(np.ascontiguousarray(pixels))
    if shape.family == "gemma3":
        yield _padded(photo, (shape.side, shape.side), Image.Resampling.BILINEAR)
        return
    if shape.longest_edge:
        whole = _resized(photo, _to_longest_edge(photo.size, shape.longest_edge), Image.Resampling.LANCZOS)
        across, down = (-(-size // shape.side) for size in whole.size)
        whole = _resized(whole, (across * shape.side, down * shape.side), Image.Resampling.LANCZOS)
        overview = _resized(whole, (shape.side, shape.side), Image.Resampling.LANCZOS)
    else:  # files made before llama.cpp's converter wrote the size
        across, down = (max(1, _rounded(np.float32(size) / np.float32(shape.side))) for size in photo.size)
        whole = _padded(photo, (across * shape.side, down * shape.side), Image.Resampling.BICUBIC)
        overview = _resized(photo, (shape.side, shape.side), Image.Resampling.BICUBIC)
    for row in range(down):
        for column in range(across):
            left, top = column * shape.side, row * shape.side
            yield whole.crop((left, top, left + shape.side, top + shape.side))
    yield overview


def _resized(photo: Image, size: tuple[int, int], filter_: Resampling) -> Image:
    """Resize across, then down: the other order, which Pillow may take, rounds some pixels to the next level."""
    return photo.resize((size[0], photo.height), filter_).resize(size, filter_)


def _to_longest_edge(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return width and height with the longer side as asked for, the other one rounded down, and up to an even number."""
    width, height = size
    ratio = width / height
    if width >= height:
        other = int(longest / ratio)
        return longest, other + other % 2
    other = int(longest * ratio)
    return other + other % 2, longest


def _padded(photo: Image, size: tuple[int, int], filter_: Resampling) -> Image:
    """Fit a photo into a frame, in its middle, black around it; in single precision, as mtmd reckons."""
    from PIL import Image

    if photo.size == size:
        return photo
    scale = min(np.float32(frame) / np.float32(own) for frame, own in zip(size, photo.size, strict=True))
    width, height = (
        min(int(np.ceil(np.float32(own) * scale)), frame) for frame, own in zip(size, photo.size, strict=True)
    )
    padded = Image.new("RGB", size)
    padded.paste(_resized(photo, (width, height), filter_), ((size[0] - width) // 2, (size[1] - height) // 2))
    return padded


def _rounded(value: np.float32) -> int:
    """Round half away from zero, as C does."""
    return int(np.floor(value + np.float32(0.5)))
