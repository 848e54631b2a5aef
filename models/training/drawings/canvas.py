"""The canvas: cloth panels laid over each other under soft light from the upper left, then photographed.

Coordinates are units (the picture is 160 x 240). Panels are painted at three pixels a unit with masks
anti-aliased at nine; light is computed at half that, because folds have no detail finer than that.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drawings.colours import Colour
from drawings.fabric import PIXELS_A_UNIT, Fabric
from drawings.outline import HEIGHT, WIDTH, Point, dashes
from drawings.photograph import photographed
from drawings.relief import Fold, enlarged, relief, unevenness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Plane = NDArray[np.float32]

_LIGHT_STEP = 2  # painted pixels a light pixel
_LIGHT_X, _LIGHT_Y = 0.55, 0.85  # where the light comes from: left and, more, above
_MASK_STEPS = 3  # steps a painted pixel at which outlines are filled
_NOISE_SIDE = 240
_FADE_REACH = 7.0  # units from a seam at which washed cloth is at its palest


@dataclass(frozen=True)
class _Window:
    """The painted pixels a shape touches, aligned to the light's grid."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top


def draw_waves(rng: random.Random) -> list[tuple[float, float, float]]:
    """Return height, length and phase of the four waves by which one picture's outlines are bent."""
    return [(rng.uniform(0.35, 1.0), rng.uniform(28, 60), rng.uniform(0, math.tau)) for _axis in range(4)]


class Canvas:
    """One picture in the making: ``panel``, ``stroke`` and ``disc`` paint; ``photograph`` returns it."""

    def __init__(self, rng: random.Random) -> None:
        import numpy as np

        self._width, self._height = int(WIDTH) * PIXELS_A_UNIT, int(HEIGHT) * PIXELS_A_UNIT
        self._colour = np.zeros((self._height, self._width, 3), dtype=np.float32)
        self._cover = np.zeros((self._height, self._width), dtype=np.float32)
        generator = np.random.default_rng(rng.getrandbits(64))
        tile = generator.standard_normal((_NOISE_SIDE, _NOISE_SIDE), dtype=np.float32)
        self._noise = np.tile(tile, (self._height // _NOISE_SIDE, self._width // _NOISE_SIDE))
        self._generator = generator
        # Nothing hangs perfectly straight: every outline is bent by the same slow waves.
        self._waves = draw_waves(rng)

    def panel(
        self,
        outline: Sequence[Point],
        fabric: Fabric,
        *,
        turn: float = 0.0,
        puff: float = 3.0,
        lift: float = 0.22,
        folds: Iterable[Fold] = (),
        crumple: float = 0.5,
        gloss: float = 0.0,
        fade: float = 0.0,
    ) -> None:
        """Lay a piece of cloth on what is there already.

        Args:
            outline: the closed outline.
            fabric: what the piece is made of.
            turn: direction of the cloth's grain, degrees clockwise from upright.
            puff: how far from its edge (units) the piece rounds off.
            lift: how dark a shadow it throws on what lies under it, 0 to 1.
            folds: ridges and valleys.
            crumple: height of the random unevenness.
            gloss: strength of highlights (satin, leather).
            fade: how much paler the middle is than the edges (washed denim).
        """
        import numpy as np
        from PIL import Image, ImageFilter

        path = self._bent(outline)
        window = self._window(path, margin=4.0)
        mask_image = self._mask(path, window)
        light_size = (window.size[0] // _LIGHT_STEP, window.size[1] // _LIGHT_STEP)
        small = mask_image.reduce(_LIGHT_STEP)
        scale = PIXELS_A_UNIT / _LIGHT_STEP
        rounded = np.asarray(small.filter(ImageFilter.GaussianBlur(puff * scale * 0.6)), dtype=np.float32) / 255
        inside = np.clip((rounded - 0.5) * 2, 0, 1)
        height = inside * (2 - inside) * np.float32(puff * 0.30)
        height += relief(folds, (window.left / _LIGHT_STEP, window.top / _LIGHT_STEP), light_size, scale)
        if crumple:
            height += np.float32(crumple) * unevenness(self._generator, light_size)
        slope_y, slope_x = np.gradient(height)
        facing = np.clip(_LIGHT_X * slope_x + _LIGHT_Y * slope_y, -0.8, 0.8) * np.float32(0.62)
        shade = 0.985 + facing - 0.11 * (1 - inside) ** 2
        if fade:
            broad = small.filter(ImageFilter.GaussianBlur(_FADE_REACH * scale))
            shade = shade + fade * (np.asarray(broad, dtype=np.float32) / 128 - 1.35)
        shade = np.clip(shade, 0.42, 1.3).astype(np.float32)
        light = enlarged(shade, window.size)

        rows, columns = window.slices
        v, u = np.mgrid[rows, columns].astype(np.float32) / PIXELS_A_UNIT
        bump = enlarged(height.astype(np.float32), window.size)
        u, v = u + bump * 0.5, v + bump * 0.9  # a pattern follows the folds
        if turn:
            cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
            u, v = u * np.float32(cos) + v * np.float32(sin), v * np.float32(cos) - u * np.float32(sin)
        paint = fabric.albedo(u, v, self._noise[rows, columns])
        # Light that bounces off the cloth without taking its colour: without it black would be a hole.
        sheen = (light - 0.985) * np.float32(34 + 120 * gloss)
        paint = paint * np.minimum(light, 1.04)[..., None] + np.maximum(sheen, -8)[..., None]
        np.clip(paint, 4, 252, out=paint)

        if lift:
            shadow = np.asarray(
                small.filter(ImageFilter.GaussianBlur(1.3 * scale)).resize(window.size, Image.Resampling.BILINEAR),
                dtype=np.float32,
            )
            self._colour[rows, columns] *= (1 - shadow * np.float32(lift / 255))[..., None]
        mask = np.asarray(mask_image, dtype=np.float32) * np.float32(1 / 255)
        self._over(window, paint, mask)

    def stroke(
        self,
        points: Sequence[Point],
        colour: Colour,
        *,
        width: float = 0.5,
        alpha: float = 1.0,
        soft: float = 0.0,
    ) -> None:
        """Draw a line: a thread, a cord, an edge. ``soft`` blurs it (units) into a crease."""
        from PIL import Image, ImageDraw, ImageFilter

        path = self._bent(points)
        window = self._window(path, margin=width + 2 + soft * 3)
        image = Image.new("L", (window.size[0] * 2, window.size[1] * 2))
        dots = [((x - window.left) * 2, (y - window.top) * 2) for x, y in path]
        thickness = max(1, round(width * PIXELS_A_UNIT * 2))
        pen = ImageDraw.Draw(image)
        pen.line(dots, fill=255, width=thickness, joint="curve")
        if thickness > 5:
            for x, y in (dots[0], dots[-1]):
                pen.ellipse((x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2), fill=255)
        image = image.reduce(2)
        if soft:
            image = image.filter(ImageFilter.GaussianBlur(soft * PIXELS_A_UNIT))
        self._ink(window, image, colour, alpha, on_cloth_only=bool(soft))

    def seam(self, points: Sequence[Point], *, strength: float = 0.3) -> None:
        """Draw a sewn seam: a dark line with a soft dip along it and a lit lip below."""
        self.stroke(points, (0, 0, 0), width=0.6, alpha=strength * 0.6, soft=0.7)
        self.stroke(points, (0, 0, 0), width=0.3, alpha=strength)
        self.stroke([(x + 0.3, y + 0.45) for x, y in points], (255, 255, 255), width=0.3, alpha=strength * 0.4)

    def stitches(self, points: Sequence[Point], colour: Colour, *, alpha: float = 0.8, length: float = 1.5) -> None:
        """Draw a row of single stitches along a line."""
        from PIL import Image, ImageDraw

        path = self._bent(points)
        window = self._window(path, margin=2)
        image = Image.new("L", (window.size[0] * 2, window.size[1] * 2))
        pen = ImageDraw.Draw(image)
        for start, end in dashes(path, length * PIXELS_A_UNIT, 0.62):
            corners = [((x - window.left) * 2, (y - window.top) * 2) for x, y in (start, end)]
            pen.line(corners, fill=255, width=4)
        self._ink(window, image.reduce(2), colour, alpha)

    def disc(self, centre: Point, radius: float, colour: Colour, *, holes: int = 0, shine: float = 0.35) -> None:
        """Draw a button, a rivet or an eyelet."""
        x, y = centre
        ring = [
            (x + radius * math.cos(math.tau * step / 20), y + radius * math.sin(math.tau * step / 20))
            for step in range(20)
        ]
        self._fill([(px + 0.25, py + 0.55) for px, py in ring], (0, 0, 0), 0.35)
        self._fill(ring, colour, 1.0)
        self._fill([(x - 0.2 * radius + (px - x) * 0.55, y - 0.25 * radius + (py - y) * 0.5) for px,
            py in ring], (255, 255, 255), shine)  # fmt: skip
        for hole in range(holes):
            angle = math.tau * (hole + 0.5) / holes
            spot = (x + 0.32 * radius * math.cos(angle), y + 0.32 * radius * math.sin(angle))
            self._fill([(spot[0] + (px - x) * 0.16, spot[1] + (py - y) * 0.16) for px, py in ring], (20, 20, 20), 0.8)

    def fill(self, outline: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill an outline with one flat colour (metal, labels, rubber)."""
        self._fill(outline, colour, alpha)

    def photograph(self, size: tuple[int, int], rng: random.Random, *, standing: float | None = None) -> Image:
        """Return the picture, RGB, on a pale backdrop.

        Args:
            size: width and height in pixels.
            rng: chooses backdrop and exposure.
            standing: height (units) of the floor the object stands on; None for a garment laid flat or hung.
        """
        return photographed(self._colour, self._cover, size, rng, standing=standing)

    def _bent(self, points: Iterable[Point]) -> list[Point]:
        """Return points in painted pixels, moved by the picture's slow waves."""
        (a, b, c, d) = self._waves
        return [
            (
                PIXELS_A_UNIT * (x + a[0] * math.sin(y / a[1] + a[2]) + 0.5 * b[0] * math.sin(x / b[1] + b[2])),
                PIXELS_A_UNIT * (y + 0.6 * c[0] * math.sin(x / c[1] + c[2]) + 0.5 * d[0] * math.sin(y / d[1] + d[2])),
            )
            for x, y in points
        ]

    def _window(self, path: Sequence[Point], margin: float) -> _Window:
        room = margin * PIXELS_A_UNIT
        step = _LIGHT_STEP

        def down(value: float, limit: int) -> int:
            return max(0, min(limit - step, int(value // step) * step))

        def up(value: float, limit: int, low: int) -> int:
            return max(low + step, min(limit, int(-(-value // step)) * step))

        left = down(min(x for x, _ in path) - room, self._width)
        top = down(min(y for _, y in path) - room, self._height)
        right = up(max(x for x, _ in path) + room, self._width, left)
        bottom = up(max(y for _, y in path) + room, self._height, top)
        return _Window(left, top, right, bottom)

    def _mask(self, path: Sequence[Point], window: _Window) -> Image:
        from PIL import Image, ImageDraw

        fine = _MASK_STEPS
        image = Image.new("L", (window.size[0] * fine, window.size[1] * fine))
        corners = [((x - window.left) * fine, (y - window.top) * fine) for x, y in path]
        ImageDraw.Draw(image).polygon(corners, fill=255)
        return image.reduce(fine)

    def _fill(self, outline: Sequence[Point], colour: Colour, alpha: float) -> None:
        path = self._bent(outline)
        window = self._window(path, margin=1)
        self._ink(window, self._mask(path, window), colour, alpha)

    def _ink(self, window: _Window, image: Image, colour: Colour, alpha: float, *, on_cloth_only: bool = False) -> None:
        import numpy as np

        mask = np.asarray(image, dtype=np.float32) * np.float32(alpha / 255)
        if on_cloth_only:
            mask = mask * self._cover[window.slices]
        self._over(window, np.asarray(colour, dtype=np.float32), mask)

    def _over(self, window: _Window, paint: Plane, mask: Plane) -> None:
        rows, columns = window.slices
        below = self._colour[rows, columns]
        below *= (1 - mask)[..., None]
        below += paint * mask[..., None]
        cover = self._cover[rows, columns]
        cover += mask * (1 - cover)
