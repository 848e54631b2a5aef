"""The shop of ``vlm4rec-edge demo``, which the package brings as small pictures and their table.

Example:
    python models/training/demo_shop.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from drawings import catalog_of_drawings, write_catalog

SHOP = Path(__file__).parents[2] / "vlm4rec_edge" / "demo" / "shop"
ITEMS_PER_KIND = 5
# Half of the bytes of JPEG. The embedded model says of every picture what it says of the same one in 320 x 480 pixels; of some
# in 200 x 300 it does not. The report shows them in 220 x 330.
SIZE, SUFFIX, QUALITY = (240, 360), ".webp", 80


def write_shop(folder: Path) -> None:
    """Draw into ``folder/images``, and write ``items.csv``."""
    write_catalog(folder, catalog_of_drawings(ITEMS_PER_KIND), SIZE, SUFFIX, QUALITY)


def main(out: Annotated[Path, typer.Option(help="Folder for the shop.")] = SHOP) -> None:
    """Draw the shop of the demo anew, into the package; run it when how clothes are drawn has changed."""
    write_shop(out)


if __name__ == "__main__":
    typer.run(main)
