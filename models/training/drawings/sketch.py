"""A canvas on which nothing is painted: what a drawing function states of its picture, without the picture."""

from __future__ import annotations

import random
from typing import Any

from drawings.canvas import draw_waves


class Sketch:
    """Takes the place of a ``Canvas``; it draws as much chance, so that the same facts are stated."""

    def __init__(self, rng: random.Random) -> None:
        rng.getrandbits(64)
        draw_waves(rng)

    def panel(self, *args: Any, **kwargs: Any) -> None:
        """Paint nothing."""

    stroke = seam = stitches = disc = fill = panel
