"""A made shop as every back end holds it: an index folder, a bundle of it, and a LanceDB table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import export_to_lancedb
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.given import Place

KINDS = ("index", "bundle", "lancedb")
ITEMS, DIMENSIONS = 160, 12
_AUDIENCES = ("Menswear", "Ladieswear", "Kids", "")
_COLOURS = ("red", "dark blue", "it's green", "50%_\\")


def write_shop(folder: Path, *, words: str = "A {colour} garment number {number}.") -> Path:
    """Write an index whose items each have a vector of their own, so that no two scores are equal, and return its folder."""
    chance = np.random.default_rng(5)
    centres = random_vectors(6, DIMENSIONS, seed=4)
    vectors = unit(centres[np.arange(ITEMS) % 6] + 0.25 * chance.normal(size=(ITEMS, DIMENSIONS)))
    ids = [f"{number // 3:04d}-{number % 3}" for number in range(ITEMS)]
    attributes: dict[str, dict[str, str]] = {}
    for number, name in enumerate(ids):
        attributes[name] = {
            "audience": _AUDIENCES[number % 4],
            "price": str(5 * (number % 17) - 5) if number % 11 else "ask us",
            "colour name": _COLOURS[number % 4],
            "sold": str((number * 37) % 101),
            "Gr\u00f6\u00dfe.`": "XL" if number % 5 else "",
        }
        if number % 7 == 0:
            del attributes[name]["price"]
    captions = {
        name: words.format(colour=attributes[name]["colour name"], number=number) for number, name in enumerate(ids)
    }
    items = list(zip(ids, range(ITEMS), strict=True))
    return write_store(folder, vectors, items, attributes=attributes, captions=captions)


def shipped(index: Path, kind: str, folder: Path) -> Place:
    """Return the place of an index as a back end holds it; what has to be made for that lies in ``folder``."""
    if kind == "index":
        return index
    if kind == "bundle":
        make_bundle(index, folder / "shop.zip", vectors="float32")
        return folder / "shop.zip"
    address = f"lancedb://{folder / 'shop.lancedb'}"
    assert export_to_lancedb(index, address).items == ITEMS
    return address
