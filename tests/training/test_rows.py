"""What a model is measured on is never what it learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawings import catalog_of_drawings, write_catalog
from rows import part_rows, photo_path, read_rows, row_of_drawing


@pytest.mark.parametrize(("count", "held_out"), [(37_062, 2_000), (20_000, 2_000), (50, 5), (5, 0), (0, 0)])
def test_every_row_is_either_learnt_or_held_out(count: int, held_out: int) -> None:
    train, held = part_rows(count)
    assert len(held) == held_out
    assert sorted([*train, *held]) == list(range(count))


def test_the_parts_are_the_same_every_time_and_mixed() -> None:
    first, second = part_rows(1_000), part_rows(1_000)
    assert all((one == other).all() for one, other in zip(first, second, strict=True))
    assert 300 < first[1].mean() < 700
    assert (first[1][1:] > first[1][:-1]).all()


def test_a_photo_lies_beside_the_table_or_in_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "one.jpg").touch()
    (tmp_path / "images" / "two.jpg").touch()
    assert photo_path(tmp_path, "one.jpg") == tmp_path / "one.jpg"
    assert photo_path(tmp_path, "two.jpg") == tmp_path / "images" / "two.jpg"


def test_every_drawing_is_a_row_in_the_catalogs_words() -> None:
    drawings = catalog_of_drawings(8, seed=4)
    rows = [row_of_drawing(drawing) for drawing in drawings]
    types = {drawing.kind: row["type"] for drawing, row in zip(drawings, rows, strict=True)}
    assert types["jeans"] == types["trousers"] == "Trousers"
    assert types["hiking-boots"] == types["boots"] == "Boots"
    assert len(set(types.values())) >= 25
    assert all(row["description"] == drawing.details for drawing, row in zip(drawings, rows, strict=True))
    assert {row["appearance"] for row in rows} >= {"Solid", "Stripe", "Check", "Dot", "Melange", "Denim"}
    assert all(row["colour"] == row["colour"].title() for row in rows)


def test_rows_are_read_in_the_order_of_the_table(tmp_path: Path) -> None:
    drawings = catalog_of_drawings(1, seed=4)[:3]
    write_catalog(tmp_path, drawings)
    assert [row["id"] for row in read_rows(tmp_path)] == [drawing.item_id for drawing in drawings]
