"""The demo leaves its shop as files to go on with: they fit each other, and the commands."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from vlm4rec_edge import read_interactions
from vlm4rec_edge.demo.shop_files import ITEM_COUNT, SHOP, lay_out_shop
from vlm4rec_edge.demo.tastes import TASTES


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_and_the_photos_are_those_of_the_package(tmp_path: Path) -> None:
    table = lay_out_shop(tmp_path)
    assert table.read_bytes() == (SHOP / "items.csv").read_bytes()
    rows = _rows(table)
    assert len(rows) == len({row["id"] for row in rows}) == ITEM_COUNT
    assert all((tmp_path / row["image"]).read_bytes() == (SHOP / row["image"]).read_bytes() for row in rows)


def test_histories_and_purchases_are_of_items_of_the_shop(tmp_path: Path) -> None:
    ids = {row["id"] for row in _rows(lay_out_shop(tmp_path))}
    histories = _rows(tmp_path / "histories.csv")
    assert [row["user_id"] for row in histories] == [taste.shopper for taste in TASTES]
    assert all(set(row["history"].split(",")) <= ids for row in histories)
    bought, _ = read_interactions(tmp_path / "purchases.csv")
    assert set(bought.items) <= ids
    per_user = Counter(bought.user.tolist())
    assert len(per_user) >= 100
    assert min(per_user.values()) >= 5, "evaluate asks for five"


def test_laying_it_out_again_leaves_it_as_it_is(tmp_path: Path) -> None:
    lay_out_shop(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    lay_out_shop(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
