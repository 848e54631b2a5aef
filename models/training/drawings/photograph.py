"""The photograph: what lies on the canvas is put before a pale backdrop, throws its shadow, and is framed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from drawings.fabric import PIXELS_A_UNIT
from drawings.relief import enlarged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Plane = NDArray[np.float32]

FLOOR = 168.0  # the height (units) at which things stand on the table
_SHADOW_STEP = 3  # painted pixels a shadow pixel
_FILL = 0.88  # of the picture's width and height that a product takes at most


def photographed(
    colour: Plane, cover: Plane, size: tuple[int, int], rng: random.Random, *, standing: float | None
) -> Image:
    """Return the picture, RGB, of ``size`` (width, height).

    Args:
        colour: what is painted, shape (height, width, 3), sRGB 0 to 255, zero where nothing is.
        cover: how much of each pixel is painted, shape (height, width), 0 to 1.
        size: width and height of the picture in pixels.
        rng: chooses backdrop and frame.
        standing: height (units) of the floor the product stands on; None for one laid flat or hung.
    """
    import numpy as np
    from PIL import Image

    top = rng.choice((250.0, 247.0, 244.0, 241.0))
    bottom = top - rng.uniform(0, 7)
    warmth = rng.uniform(-1.0, 2.5)
    outline = Image.fromarray((cover * 255).astype(np.uint8)).reduce(_SHADOW_STEP)
    shade = _cast_shadow(outline) if standing is None else _floor_shadow(outline, standing)
    rows = np.linspace(top, bottom, outline.size[1], dtype=np.float32)[:, None]
    backdrop = enlarged((rows * (1 - shade)).astype(np.float32), (cover.shape[1], cover.shape[0]))
    backdrop = backdrop * (1 - cover)
    picture = colour + backdrop[..., None]
    tint = 1 - cover
    picture[..., 0] += tint * np.float32(warmth * 0.5)
    picture[..., 2] -= tint * np.float32(warmth)
    picture += 0.5
    np.clip(picture, 0, 255, out=picture)
    frame = _frame(outline, rng.uniform(1.0, 1.3))
    # Hamming, because Lanczos rings: it draws a white line round every dark product.
    return Image.fromarray(picture.astype(np.uint8)).resize(size, Image.Resampling.HAMMING, box=frame)


def _frame(cover: Image, zoom: float) -> tuple[float, float, float, float]:
    """Return the part of the canvas that the camera takes: the product, not touching the edge."""
    full_width, full_height = cover.size[0] * _SHADOW_STEP, cover.size[1] * _SHADOW_STEP
    left, top, right, bottom = (edge * _SHADOW_STEP for edge in cover.getbbox() or (0, 0, *cover.size))
    fitting = min(_FILL * full_width / (right - left), _FILL * full_height / (bottom - top))
    zoom = max(1.0, min(zoom, fitting))
    width, height = full_width / zoom, full_height / zoom
    x = min(max((left + right - width) / 2, 0), full_width - width)
    y = min(max((top + bottom - height) / 2, 0), full_height - height)
    return x, y, x + width, y + height


def _cast_shadow(cover: Image) -> Plane:
    """Return the shadow of something flat on the backdrop: a close dark one and a wide faint one."""
    import numpy as np
    from PIL import Image, ImageFilter

    shade = np.zeros((cover.size[1], cover.size[0]), dtype=np.float32)
    scale = PIXELS_A_UNIT / _SHADOW_STEP
    for strength, radius, dx, dy in ((0.10, 9.0, 2.5, 6.5), (0.14, 2.4, 1.3, 2.6)):
        blurred = cover.filter(ImageFilter.GaussianBlur(radius * scale))
        placed = Image.new("L", cover.size)
        placed.paste(blurred, (round(dx * scale), round(dy * scale)))
        shade += np.asarray(placed, dtype=np.float32) * np.float32(strength / 255)
    return shade


def _floor_shadow(cover: Image, floor: float) -> Plane:
    """Return the shadow of a standing thing: dark where it touches the floor, gone a hand's width away."""
    import numpy as np

    scale = PIXELS_A_UNIT / _SHADOW_STEP
    seen = np.asarray(cover)[int((floor - 8) * scale) : int(floor * scale)] > 128
    columns = np.flatnonzero(seen.any(axis=0))
    v, u = np.ogrid[0 : cover.size[1], 0 : cover.size[0]]
    if not columns.size:
        return _cast_shadow(cover)
    middle = (columns[0] + columns[-1]) / 2 / scale
    reach = (columns[-1] - columns[0]) / 2 / scale
    down, across = v / scale - floor, u / scale - middle
    near = np.exp(-((across / (reach * 0.92)) ** 6)) * np.exp(-((down / 2.2) ** 2))
    wide = np.exp(-(((across - 3) / (reach * 1.12)) ** 4)) * np.exp(-(((down - 1) / 7) ** 2))
    faint = _cast_shadow(cover) * 0.4
    cast: Plane = (0.34 * near + 0.14 * wide).astype(np.float32) + faint
    return cast
