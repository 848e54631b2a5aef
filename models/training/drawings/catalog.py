"""Drawings as a catalog: which pictures there are, what is true of them, and their files."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drawings.canvas import Canvas
from drawings.colours import COLOURS, DENIM_COLOURS
from drawings.fabric import Pattern
from drawings.facts import Facts, facts_of
from drawings.kinds import KINDS, PATTERN_WORDS
from drawings.look import Look, look_of
from drawings.sketch import Sketch
from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = (320, 480)
CATALOG_COLUMNS = ("id", "image", "title", "kind", "colour", "pattern")
QUALITY = 90
# Seeds of two catalogs never meet while a catalog repeats one kind, colour and pattern less often than this.
_SEEDS_A_CATALOG = 1000
# Yarn of black or white alone is not seen as melange.
_MELANGE_COLOURS = (
    "grey",
    "beige",
    "brown",
    "pink",
    "green",
    "dark green",
    "light blue",
    "blue",
    "dark blue",
    "purple",
)


@dataclass(frozen=True)
class Drawing:
    """One picture, wholly given by four values: the same four always give the same picture."""

    kind: str
    colour: str
    pattern: Pattern
    seed: int

    @property
    def title(self) -> str:
        """What a shop would call it: ``Red striped T-shirt``."""
        words = (self.colour, PATTERN_WORDS[self.pattern], KINDS[self.kind].noun)
        # Jeans are of denim by name.
        title = " ".join(word for word in words if word and not (word == "denim" and self.kind == "jeans"))
        return title[0].upper() + title[1:]

    @property
    def item_id(self) -> str:
        """A name for files and tables: ``t-shirt-red-stripe-1``."""
        return f"{self.kind}-{self.colour.replace(' ', '-')}-{self.pattern}-{self.seed}"

    @property
    def attributes(self) -> dict[str, str]:
        """What is true of the picture, by column."""
        return {"kind": KINDS[self.kind].noun, "colour": self.colour, "pattern": self.pattern}

    @cached_property
    def facts(self) -> Facts:
        """What the picture shows, as the function that draws it states it.

        Raises:
            UsageError: as ``draw``.
        """
        return facts_of(_drawn_on(Sketch, self)[1].facts)

    @property
    def details(self) -> str:
        """Two sentences from the facts, in one of many wordings; always the same for the same drawing."""
        return self.facts.text(random.Random(f"words {self.item_id}"))


def draw(drawing: Drawing, size: tuple[int, int] = SIZE) -> Image:
    """Draw a product photo, RGB, of ``size`` (width, height) pixels.

    Raises:
        UsageError: the drawing names a kind, a colour or a pattern that there is not.
    """
    canvas, look = _drawn_on(Canvas, drawing)
    picture: Image = canvas.photograph(size, look.rng, standing=KINDS[drawing.kind].standing)
    return picture


def _drawn_on(surface: type[Any], drawing: Drawing) -> tuple[Any, Look]:
    _check(drawing)
    rng = random.Random(drawing.item_id)
    canvas = surface(rng)
    look = look_of(drawing.colour, drawing.pattern, rng)
    KINDS[drawing.kind].draw(canvas, look)
    return canvas, look


def catalog_of_drawings(count_per_kind: int = 4, seed: int = 0) -> list[Drawing]:
    """Return ``count_per_kind`` drawings of every kind: colours dealt evenly, every second one patterned.

    The same arguments give the same list on every machine; catalogs of different seeds share no picture.

    Raises:
        UsageError: ``count_per_kind`` is below 1 or ``seed`` is negative.
    """
    if count_per_kind < 1 or seed < 0:
        raise UsageError(
            f"A catalog needs 1 drawing a kind or more and a seed from 0 on, not {count_per_kind}, {seed}."
        )
    rng = random.Random(f"catalog {seed}")
    used: Counter[str] = Counter()
    taken: Counter[tuple[str, str, str]] = Counter()
    drawings = []
    for name, kind in KINDS.items():
        patterned = [pattern for pattern in kind.patterns if pattern != "solid"]
        rng.shuffle(patterned)
        in_kind: Counter[str] = Counter()
        for number in range(count_per_kind):
            plain = "solid" in kind.patterns and (number % 2 == 0 or not patterned)
            pattern: Pattern = "solid" if plain else patterned[number // 2 % len(patterned)]
            # The least used colour of this kind, then of the catalog; chance decides between equals.
            choices = sorted(_colours_of(pattern))
            rng.shuffle(choices)
            colour = min(choices, key=lambda choice: (in_kind[choice], used[choice]))
            in_kind[colour] += 1
            used[colour] += 1
            key = (name, colour, pattern)
            taken[key] += 1
            drawings.append(Drawing(name, colour, pattern, seed * _SEEDS_A_CATALOG + taken[key]))
    return drawings


def write_catalog(
    folder: Path,
    drawings: Iterable[Drawing],
    size: tuple[int, int] = SIZE,
    suffix: str = ".jpg",
    quality: int = QUALITY,
) -> Path:
    """Draw into ``folder/images`` and write ``folder/items.csv``; return the path of the CSV file.

    Args:
        folder: Is made where it is not there.
        drawings: Rows of the table, in order.
        size: Of the pictures, (width, height) in pixels.
        suffix: Of the files of the pictures, which are written in its format: ``.jpg`` or ``.webp``.
        quality: Of the pictures, 1 to 95.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows: list[Sequence[str]] = []
    for drawing in drawings:
        image = f"images/{drawing.item_id}{suffix}"
        draw(drawing, size).save(folder / image, quality=quality)
        rows.append((drawing.item_id, image, drawing.title, *drawing.attributes.values()))
    path = folder / "items.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(CATALOG_COLUMNS)
        writer.writerows(rows)
    return path


def _colours_of(pattern: Pattern) -> tuple[str, ...]:
    if pattern == "denim":
        return tuple(DENIM_COLOURS)
    return _MELANGE_COLOURS if pattern == "melange" else tuple(COLOURS)


def _check(drawing: Drawing) -> None:
    for what, name, known in (
        ("kind", drawing.kind, tuple(KINDS)),
        ("colour", drawing.colour, tuple(COLOURS)),
        ("pattern", drawing.pattern, tuple(PATTERN_WORDS)),
    ):
        if name not in known:
            raise UsageError(f"There is no {what} {name!r} to draw; there are {', '.join(known)}.")
