"""The shop of ``vlm4rec-edge demo``, which the package brings as small pictures and two tables.

Example:
    python models/training/demo_shop.py
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer
from drawings import catalog_of_drawings, write_catalog

SHOP = Path(__file__).parents[2] / "vlm4rec_edge" / "demo" / "shop"
ITEMS_PER_KIND = 5
# Half of the bytes of JPEG. The embedded model says of every picture what it says of the same one in 320 x 480 pixels; of some
# in 200 x 300 it does not. The report shows them in 220 x 330.
SIZE, SUFFIX, QUALITY = (240, 360), ".webp", 80

# Who shops in the demo: a name, what the report tells of them, and what they have bought. Colour is what the embedded
# model sees best, so tastes in colour are where anybody can judge at a glance whether what comes back makes sense.
_SHOPPERS = (
    ("Ada", "Wears black.", (("black", "blazer"), ("black", "dress"), ("black", "jeans"))),
    ("Bela", "Likes it bright.", (("yellow", "shirt"), ("yellow", "sweater"), ("orange", "skirt"))),
    ("Cleo", "Denim and light blue.", (("blue", "jacket"), ("blue", "jeans"), ("light blue", "sweater"))),
)


def write_shop(folder: Path) -> None:
    """Draw into ``folder/images``, and write ``items.csv`` and ``histories.csv`` (user_id, history, story)."""
    drawings = catalog_of_drawings(ITEMS_PER_KIND)
    write_catalog(folder, drawings, SIZE, SUFFIX, QUALITY)
    by_look = {(drawing.colour, drawing.kind): drawing.item_id for drawing in drawings}
    with (folder / "histories.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("user_id", "history", "story"))
        for name, story, bought in _SHOPPERS:
            writer.writerow((name, ",".join(by_look[look] for look in bought), story))


def main(out: Annotated[Path, typer.Option(help="Folder for the shop.")] = SHOP) -> None:
    """Draw the shop of the demo anew, into the package; run it when how clothes are drawn has changed."""
    write_shop(out)


if __name__ == "__main__":
    typer.run(main)
