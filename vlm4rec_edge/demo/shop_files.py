"""The demo's shop as files that a person may go on with: photos, their table, histories and purchases."""

from __future__ import annotations

import csv
import datetime
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from vlm4rec_edge.demo.tastes import TASTES, Items, made_histories

# Drawn by models/training/demo_shop.py, which is not part of the package.
SHOP = Path(__file__).with_name("shop")
ITEM_COUNT = len(list((SHOP / "images").iterdir()))
# Who buys in ``purchases.csv``: enough to learn from, and enough items each to hold some back.
_BUYERS, _BOUGHT = 60, 6
_FIRST_DAY = datetime.date(2026, 1, 1)


def lay_out_shop(folder: Path) -> Path:
    """Copy the shop into ``folder`` and return its table, ``items.csv``.

    Beside it stand ``images/``, ``histories.csv`` (of the shoppers of the report: ``user_id``, ``history``) and
    ``purchases.csv`` (of made-up shoppers of the same tastes: ``user_id``, ``item_id``, ``date``).
    """
    shutil.copytree(SHOP, folder, dirs_exist_ok=True)
    table = folder / "items.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        items = items_of(csv.DictReader(stream))
    histories = [(taste.shopper, ",".join(made[0])) for taste in TASTES if (made := made_histories(taste, items))]
    _write(folder / "histories.csv", ["user_id", "history"], histories)
    _write(folder / "purchases.csv", ["user_id", "item_id", "date"], _purchases(items))
    return table


def items_of(rows: Iterable[dict[str, str]]) -> Items:
    """Return the id and the columns of each row of a table."""
    return [(row["id"], {name: value for name, value in row.items() if name not in ("id", "image")}) for row in rows]


def _purchases(items: Items) -> list[tuple[str, str, str]]:
    return [
        (f"{taste.shopper.lower()}-{number}", item_id, (_FIRST_DAY + datetime.timedelta(days=day)).isoformat())
        for taste in TASTES
        for number, bought in enumerate(made_histories(taste, items, count=_BUYERS, bought=_BOUGHT), start=1)
        for day, item_id in enumerate(bought)
    ]


def _write(path: Path, names: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
