"""Rows of a catalog of clothes: read, parted into those to learn from and those held out, and drawings as such rows.

Needs neither torch nor a model, so that what measures a model parts the rows as what trained it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from drawings import Drawing

HELD_OUT = 2_000
# A small catalog, as tests have it, keeps most of its rows to learn from.
_LARGEST_SHARE = 10

_DRAWN_KINDS = {
    "t-shirt": "T-shirt",
    "vest-top": "Vest top",
    "cap": "Cap/peaked",
    "beanie": "Hat/beanie",
    "jeans": "Trousers",
    "hiking-boots": "Boots",
    "rain-jacket": "Jacket",
    "backpack": "Bag",
    "heels": "Pumps",
    "evening-gown": "Dress",
    "clutch": "Bag",
    "summer-dress": "Dress",
    "sun-hat": "Hat/brim",
    "leggings": "Leggings/Tights",
    "sports-top": "Vest top",
}
_DRAWN_PATTERNS = {
    "solid": "Solid",
    "stripe": "Stripe",
    "check": "Check",
    "dots": "Dot",
    "floral": "All over pattern",
    "melange": "Melange",
    "denim": "Denim",
}


def read_rows(catalog: Path) -> list[dict[str, str]]:
    """Return the rows of a folder's ``items.csv``, in order."""
    with (catalog / "items.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, restval=""))


def part_rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows to learn from and of those held out, each in order.

    2,000 rows are held out (a tenth of a catalog that has fewer than 20,000); the same ones every time.
    """
    shuffled = np.random.default_rng(0).permutation(count)
    held_out = min(HELD_OUT, count // _LARGEST_SHARE)
    return np.sort(shuffled[held_out:]), np.sort(shuffled[:held_out])


def photo_path(catalog: Path, image: str) -> Path:
    """Return where a photo of a catalog lies: beside items.csv, or in ``images``."""
    beside = catalog / image
    return beside if beside.is_file() else catalog / "images" / image


def row_of_drawing(drawing: Drawing) -> dict[str, str]:
    """Return a drawing as a row of an ``items.csv``; what a drawing does not show is empty."""
    return {
        "type": _DRAWN_KINDS.get(drawing.kind, drawing.kind.capitalize()),
        "colour": drawing.colour.title(),
        "appearance": _DRAWN_PATTERNS[drawing.pattern],
        "audience": "",
        "description": drawing.details,
    }
