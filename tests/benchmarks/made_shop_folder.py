"""A folder as ``accuracy.py`` reads it: drawings, and customers made so that each buys one kind of product."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from drawings import catalog_of_drawings, write_catalog

SENTENCE = "{colour} {pattern:lower} {kind}"
# Of each kind six drawings: five for a history, and more than one to be predicted.
_KINDS, _OF_A_KIND = 6, 6


def made_shop_folder(folder: Path) -> Path:
    """Write items, photos, interactions and baskets; the id of an item begins with its kind."""
    for name, content in _files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@cache
def _files() -> dict[str, bytes]:
    """What a folder holds, by its path in it: to draw it takes two seconds."""
    drawings = catalog_of_drawings(_OF_A_KIND, seed=4)
    kinds = sorted({drawing.kind for drawing in drawings})[:_KINDS]
    chosen = [drawing for drawing in drawings if drawing.kind in kinds]
    items = {kind: [drawing.item_id for drawing in chosen if drawing.kind == kind] for kind in kinds}
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_catalog(folder, chosen)
        write_interactions(folder / "interactions.csv", _purchases(items, kinds))
        late = (row for row in _purchases(items, kinds[::-1]) if row[2] > "2020-09-03")
        write_interactions(folder / "baskets.csv", late)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def write_interactions(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a table of user, item and date."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("user_id", "item_id", "date"))
        writer.writerows(rows)


def _purchases(items: dict[str, list[str]], kinds: list[str]) -> Iterable[tuple[str, str, str]]:
    for number, kind in enumerate(kinds):
        for day, item_id in enumerate(items[kind], start=1):
            yield f"buyer-{number}", item_id, f"2020-09-{day:02}"
        yield f"visitor-{number}", items[kind][0], "2020-09-09"
