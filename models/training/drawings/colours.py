"""The colours of the drawings: a name a shopper would use, and what it looks like."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

Colour = tuple[int, int, int]

# sRGB of cloth in soft daylight. Black is not 0 and white is not 255, so that folds stay visible in both.
COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "black": (36, 36, 39),
        "white": (246, 245, 242),
        "grey": (146, 148, 151),
        "beige": (212, 194, 166),
        "brown": (112, 77, 54),
        "red": (190, 34, 46),
        "pink": (235, 164, 178),
        "orange": (226, 112, 44),
        "yellow": (243, 196, 62),
        "green": (66, 134, 86),
        "dark green": (35, 76, 56),
        "light blue": (158, 196, 230),
        "blue": (48, 94, 172),
        "dark blue": (31, 41, 80),
        "purple": (114, 78, 142),
    }
)

# Washed cotton warp over white weft is greyer than a dyed cloth of the same name.
DENIM_COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "light blue": (150, 182, 214),
        "blue": (80, 112, 158),
        "dark blue": (38, 52, 86),
        "black": (44, 44, 48),
        "grey": (128, 131, 136),
    }
)

# What is put beside a colour in a pattern: it must be seen, and must not be taken for the colour itself.
_PARTNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "black": ("white", "white", "beige"),
        "white": ("black", "dark blue", "black"),
        "grey": ("white", "black"),
        "beige": ("brown", "white"),
        "brown": ("beige", "white"),
        "red": ("white", "white", "dark blue"),
        "pink": ("white", "red"),
        "orange": ("white", "beige"),
        "yellow": ("white", "grey"),
        "green": ("white", "beige"),
        "dark green": ("white", "beige"),
        "light blue": ("white", "white"),
        "blue": ("white", "white"),
        "dark blue": ("white", "white", "light blue"),
        "purple": ("white", "pink"),
    }
)


def cloth_colour(name: str, rng: random.Random, *, denim: bool = False) -> Colour:
    """Return one dye lot of a named colour: near the colour, never exactly it."""
    red, green, blue = DENIM_COLOURS[name] if denim and name in DENIM_COLOURS else COLOURS[name]
    # White and black lots differ less than dyed ones: a tint would make them another colour.
    spread = 2.0 if name in ("white", "black") else 6.0
    value = rng.uniform(-spread, spread)
    return (
        _byte(red + value + rng.uniform(-2, 2)),
        _byte(green + value + rng.uniform(-2, 2)),
        _byte(blue + value + rng.uniform(-2, 2)),
    )


def partner_of(name: str, rng: random.Random) -> str:
    """Return the name of a second colour for a pattern on ``name``."""
    return rng.choice(_PARTNERS[name])


def shade_of(colour: Colour, factor: float) -> Colour:
    """Return ``colour`` made darker (factor below 1) or lighter (above 1, towards white)."""
    if factor <= 1:
        return (_byte(colour[0] * factor), _byte(colour[1] * factor), _byte(colour[2] * factor))
    lift = min(factor - 1, 1.0)
    return (
        _byte(colour[0] + (255 - colour[0]) * lift),
        _byte(colour[1] + (255 - colour[1]) * lift),
        _byte(colour[2] + (255 - colour[2]) * lift),
    )


def lightness(colour: Colour) -> float:
    """Return the luma of a colour, 0 to 1 (Rec. 601 weights)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def _byte(value: float) -> int:
    return max(0, min(255, round(value)))
