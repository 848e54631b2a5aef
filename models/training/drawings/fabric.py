"""Fabrics: what a point of cloth looks like before any light falls on it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from drawings.colours import COLOURS, Colour, lightness, shade_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]

Pattern = Literal["solid", "stripe", "check", "dots", "floral", "melange", "denim"]
Texture = Literal["jersey", "woven", "knit", "rib", "denim", "wool", "leather", "satin", "smooth"]

PIXELS_A_UNIT = 3  # the resolution fabrics are looked up at
_TILE_UNITS = 56  # the repeat of a floral print


@dataclass(frozen=True)
class Fabric:
    """A cloth: its colours, its pattern (``period`` in units, ``angle`` in degrees) and its surface.

    ``tile`` holds one repeat of a printed pattern, shape (n, n, 3), float32 sRGB 0 to 255.
    """

    colour: Colour
    second: Colour
    pattern: Pattern = "solid"
    texture: Texture = "jersey"
    period: float = 10.0
    share: float = 0.4
    angle: float = 0.0
    tile: Plane | None = field(default=None, compare=False)

    def plain(self, texture: Texture | None = None, factor: float = 1.0) -> Fabric:
        """Return the same cloth without its pattern, for ribs, linings and trims."""
        return replace(
            self,
            pattern="solid",
            texture=texture or self.texture,
            colour=shade_of(self.colour, factor),
            tile=None,
        )

    def albedo(self, u: Plane, v: Plane, noise: Plane) -> Plane:
        """Return sRGB colours, shape (height, width, 3), float32, at cloth coordinates ``u``, ``v``."""
        import numpy as np

        if self.angle:
            cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
            u, v = u * np.float32(cos) + v * np.float32(sin), v * np.float32(cos) - u * np.float32(sin)
        first = np.asarray(self.colour, dtype=np.float32)
        second = np.asarray(self.second, dtype=np.float32)
        grain = self._grain(u, v, noise)
        if self.tile is not None and self.pattern == "floral":
            side = self.tile.shape[0]
            rows = (v * PIXELS_A_UNIT).astype(np.int32) % side
            columns = (u * PIXELS_A_UNIT).astype(np.int32) % side
            colours: Plane = self.tile[rows, columns] * grain[..., None]
            return colours
        if self.pattern == "check":
            thin = 0.45 * _band(u + self.period * 0.25, self.period, 0.07) + 0.45 * _band(
                v + self.period * 0.25, self.period, 0.07
            )
            weight = 0.5 * (_band(u, self.period, self.share) + _band(v, self.period, self.share))
            weight = np.minimum(weight * 0.92 + thin * (1 - weight), 1)
        elif self.pattern == "stripe":
            weight = _band(v, self.period, self.share)
        elif self.pattern == "dots":
            weight = _dots(u, v, self.period, self.share)
        elif self.pattern == "melange":
            # Fibres of two dyes spun together: short streaks along the yarn.
            streaks = noise + np.roll(noise, 1, axis=1) + np.roll(noise, 2, axis=1) + np.roll(noise, 3, axis=1)
            weight = np.clip(0.22 + 0.12 * streaks, 0, 0.8)
        else:
            weight = None
        if weight is None:
            return grain[..., None] * first
        mixed: Plane = (first + weight[..., None] * (second - first)) * grain[..., None]
        return mixed

    def _grain(self, u: Plane, v: Plane, noise: Plane) -> Plane:
        """Return the brightness of the surface itself, about 1: yarn, stitches, twill."""
        import numpy as np

        # Light cloth shows its yarn less than mid and dark cloth, as in a photo exposed for white.
        depth = np.float32(0.6 if lightness(self.colour) > 0.8 else 1.0)
        tau = np.float32(math.tau)
        if self.texture == "knit":
            zigzag = np.abs((u * np.float32(0.5)) % 1 - np.float32(0.5))
            stitch = np.sin(tau * (v * np.float32(0.42) + zigzag * 1.4))
            grain = depth * (0.07 * stitch - 0.05 * np.cos(u * (tau * np.float32(0.5))) + 0.035 * noise)
        elif self.texture == "rib":
            grain = depth * (0.10 * np.cos(u * (tau * np.float32(0.45))) + 0.03 * noise)
        elif self.texture == "denim":
            twill = np.sin(tau * (u + v) * np.float32(0.55))
            slub = np.roll(noise, 1, axis=0) + np.roll(noise, 2, axis=0) + np.roll(noise, 3, axis=0) + noise
            grain = 0.035 * twill + 0.024 * slub + 0.03 * noise
        elif self.texture == "wool":
            felt = noise + np.roll(noise, 1, axis=0)
            felt = felt + np.roll(felt, 1, axis=1)
            grain = depth * 0.022 * felt
        elif self.texture == "woven":
            threads = np.sin(tau * u * np.float32(0.8)) * np.sin(tau * v * np.float32(0.8))
            grain = depth * (0.022 * threads + 0.016 * noise)
        else:
            smooth = self.texture in ("leather", "satin", "smooth")
            grain = depth * np.float32(0.014 if smooth else 0.024) * noise
        surface: Plane = (1 + grain).astype(np.float32)
        return surface


def patterned(
    pattern: Pattern,
    colour: Colour,
    second: Colour,
    texture: Texture,
    rng: random.Random,
    *,
    vertical: bool = False,
) -> Fabric:
    """Return a fabric whose pattern has a scale, a share and a direction of its own."""
    cloth = Fabric(colour, second, pattern, texture)
    if pattern == "stripe":
        thin = rng.random() < 0.35
        period = rng.uniform(4.5, 6.5) if thin else rng.uniform(8, 15)
        return replace(cloth, period=period, share=rng.uniform(0.3, 0.45), angle=90.0 if vertical else 0.0)
    if pattern == "check":
        return replace(
            cloth, period=rng.choice((rng.uniform(6, 9), rng.uniform(13, 20))), share=rng.uniform(0.36, 0.46)
        )
    if pattern == "dots":
        return replace(cloth, period=rng.uniform(7, 13), share=rng.uniform(0.17, 0.24))
    if pattern == "floral":
        return replace(cloth, tile=_floral_tile(colour, second, rng))
    if pattern == "melange":
        towards = shade_of(colour, 1.6) if lightness(colour) < 0.7 else shade_of(colour, 0.7)
        return replace(cloth, second=towards)
    return cloth


def _band(coordinate: Plane, period: float, share: float) -> Plane:
    """Return 1 inside bands that cover ``share`` of each ``period``, 0 outside, soft at the edges."""
    import numpy as np

    distance = np.abs((coordinate / np.float32(period)) % 1 - np.float32(0.5)) * np.float32(period)
    band: Plane = np.clip((np.float32(share * period / 2) - distance) * 4 + 0.5, 0, 1)
    return band


def _dots(u: Plane, v: Plane, period: float, share: float) -> Plane:
    import numpy as np

    row = np.floor(v / np.float32(period))
    across = ((u / np.float32(period) + row % 2 * np.float32(0.5)) % 1 - np.float32(0.5)) * np.float32(period)
    down = ((v / np.float32(period)) % 1 - np.float32(0.5)) * np.float32(period)
    spots: Plane = np.clip((np.float32(share * period) - np.hypot(across, down)) * 4 + 0.5, 0, 1)
    return spots


def _floral_tile(ground: Colour, second: Colour, rng: random.Random) -> Plane:
    """Print one repeat of scattered flowers and leaves on ``ground``; it joins itself at every edge."""
    import numpy as np
    from PIL import Image, ImageDraw

    side = _TILE_UNITS * PIXELS_A_UNIT
    oversize = side * 2
    image = Image.new("RGB", (oversize, oversize), ground)
    pen = ImageDraw.Draw(image)
    petals = [second, shade_of(second, 1.35 if lightness(second) < 0.8 else 0.9)]
    accents = [COLOURS[name] for name in ("pink", "yellow", "light blue", "red", "beige")]
    petals.append(rng.choice([accent for accent in accents if _apart(accent, ground) > 120] or accents))
    leaf = (92, 138, 92) if _apart((92, 138, 92), ground) > 90 else shade_of(ground, 1.45)

    def stamp(x: float, y: float, reach: float, paint: Colour) -> None:
        for shift_x in (-oversize, 0, oversize):
            for shift_y in (-oversize, 0, oversize):
                centre_x, centre_y = x + shift_x, y + shift_y
                pen.ellipse((centre_x - reach, centre_y - reach, centre_x + reach, centre_y + reach), fill=paint)

    places: list[tuple[float, float]] = []
    for _attempt in range(120):
        x, y = rng.uniform(0, oversize), rng.uniform(0, oversize)
        if all(_torus_distance((x, y), place, oversize) > oversize / 4.6 for place in places):
            places.append((x, y))
    for x, y in places:
        size, turn = rng.uniform(0.75, 1.25) * oversize / 34, rng.uniform(0, math.tau)
        for side_of_stem in (-1, 1):
            for step in range(7):
                angle, away = turn + side_of_stem * 0.5, size * (1.9 + step * 0.42)
                stamp(
                    x + away * math.cos(angle),
                    y + away * math.sin(angle),
                    size * 0.55 * math.sin(0.35 + step * 0.4),
                    leaf,
                )
        paint = rng.choice(petals)
        for petal in range(5):
            angle = turn + petal * math.tau / 5
            stamp(x + size * 1.25 * math.cos(angle), y + size * 1.25 * math.sin(angle), size, paint)
        for petal in range(5):
            angle = turn + petal * math.tau / 5
            stamp(
                x + size * 0.8 * math.cos(angle),
                y + size * 0.8 * math.sin(angle),
                size * 0.45,
                shade_of(paint, 0.82),
            )
        stamp(x, y, size * 0.55, (238, 196, 84))
    tile: Plane = np.asarray(image.reduce(2), dtype=np.float32)
    return tile


def _apart(one: Colour, other: Colour) -> float:
    return math.dist(one, other)


def _torus_distance(one: tuple[float, float], other: tuple[float, float], side: float) -> float:
    dx, dy = abs(one[0] - other[0]), abs(one[1] - other[1])
    return math.hypot(min(dx, side - dx), min(dy, side - dy))
