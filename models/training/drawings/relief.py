"""The relief of hanging cloth: folds and slow unevenness, as a height over the picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drawings.outline import Point, mirror

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Fold:
    """A soft ridge in the cloth from ``start`` to ``end``: ``width`` in units, ``height`` signed."""

    start: Point
    end: Point
    width: float
    height: float


def mirrored(fold: Fold) -> Fold:
    """Return a fold reflected about the centre line."""
    start, end = mirror((fold.start, fold.end))
    return Fold(start, end, fold.width, fold.height)


def relief(folds: Iterable[Fold], origin: Point, size: tuple[int, int], scale: float) -> Plane:
    """Return the height of the folds, shape (size[1], size[0]), in the light's grid.

    Args:
        folds: the folds, in units.
        origin: the grid's upper left corner, in grid steps.
        size: columns and rows of the grid.
        scale: grid steps a unit.
    """
    import numpy as np

    height = np.zeros((size[1], size[0]), dtype=np.float32)
    left, top = origin
    for fold in folds:
        x0, y0 = fold.start[0] * scale - left, fold.start[1] * scale - top
        x1, y1 = fold.end[0] * scale - left, fold.end[1] * scale - top
        width = max(fold.width * scale, 0.8)
        room = width * 2.6
        first_row, last_row = max(0, int(min(y0, y1) - room)), min(size[1], int(max(y0, y1) + room) + 1)
        first_column, last_column = (
            max(0, int(min(x0, x1) - room)),
            min(size[0], int(max(x0, x1) + room) + 1),
        )
        if first_row >= last_row or first_column >= last_column:
            continue
        y, x = np.ogrid[first_row:last_row, first_column:last_column]
        length = max(math.hypot(x1 - x0, y1 - y0), 1e-3)
        along_x, along_y = (x1 - x0) / length, (y1 - y0) / length
        along = ((x - x0) * along_x + (y - y0) * along_y) / length
        bow = 4 * along * (1 - along) * width * 0.6  # folds are never ruler-straight
        across = (y - y0) * along_x - (x - x0) * along_y + bow
        taper = np.clip(np.minimum((along + 0.04) * 5, (1.04 - along) * 3), 0, 1)
        ridge = np.exp(-((across / width) ** 2)) * taper * taper * (3 - 2 * taper)
        height[first_row:last_row, first_column:last_column] += (fold.height * scale * 0.5 * ridge).astype(np.float32)
    return height


def unevenness(generator: np.random.Generator, size: tuple[int, int]) -> Plane:
    """Return slow random hills, longer down than across, as in hanging cloth."""
    import numpy as np
    from PIL import Image

    grid = generator.standard_normal((max(3, size[1] // 44 + 2), max(3, size[0] // 26 + 2)), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


def enlarged(plane: Plane, size: tuple[int, int]) -> Plane:
    """Return a plane stretched to ``size`` (columns, rows)."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
