"""What a drawing function is given besides the canvas: cloths, colours, and chance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from drawings.colours import (
    COLOURS,
    Colour,
    cloth_colour,
    lightness,
    partner_of,
    shade_of,
)
from drawings.fabric import Fabric, Pattern, Texture, patterned


@dataclass(frozen=True)
class Look:
    """The colour, the pattern and the dice of one drawing.

    ``facts`` is what the drawing function has stated so far of what it draws: a value of ``drawings.facts`` by aspect.
    """

    colour_name: str
    colour: Colour
    second: Colour
    pattern: Pattern
    rng: random.Random
    facts: dict[str, str] = field(default_factory=dict)

    def states(self, **facts: str) -> None:
        """State facts of what is being drawn; an empty value states nothing."""
        self.facts.update({aspect: value for aspect, value in facts.items() if value})

    def cloth(self, texture: Texture, *, vertical: bool = False) -> Fabric:
        """Return the main cloth; denim and wool patterns bring the surface that belongs to them."""
        surface: Texture = "denim" if self.pattern == "denim" else texture
        return patterned(self.pattern, self.colour, self.second, surface, self.rng, vertical=vertical)

    def trim(self, texture: Texture = "rib", factor: float = 0.97) -> Fabric:
        """Return plain cloth of the main colour for ribs and bands."""
        return Fabric(shade_of(self.colour, factor), self.second, "solid", texture)

    @property
    def inside(self) -> Fabric:
        """The inside of the garment, seen through the neck: in its own shadow."""
        factor = 0.80 if lightness(self.colour) > 0.6 else 0.62
        return Fabric(shade_of(self.colour, factor), self.second, "solid", "jersey")

    @property
    def light(self) -> bool:
        """Whether the main colour is a pale one."""
        return lightness(self.colour) > 0.6

    @property
    def thread(self) -> Colour:
        """Stitching that can just be seen on the main colour."""
        return shade_of(self.colour, 0.74) if lightness(self.colour) > 0.3 else shade_of(self.colour, 1.3)

    @property
    def buttons(self) -> Colour:
        """Buttons for the main colour."""
        return (
            (70, 62, 58)
            if self.colour_name in ("beige", "brown")
            else shade_of(self.colour, 0.86 if self.light else 1.18)
        )

    def between(self, low: float, high: float) -> float:
        """Draw a proportion."""
        return self.rng.uniform(low, high)

    def chance(self, share: float) -> bool:
        """Draw a yes or no."""
        return self.rng.random() < share


def look_of(colour: str, pattern: Pattern, rng: random.Random) -> Look:
    """Return the look of a named colour and pattern, its details drawn from ``rng``."""
    second = COLOURS[partner_of(colour, rng)]
    return Look(colour, cloth_colour(colour, rng, denim=pattern == "denim"), second, pattern, rng)
