"""The demo's shop in the package is what its generator draws, and small."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from demo_shop import SHOP, SIZE, SUFFIX, write_shop
from PIL import Image

from vlm4rec_edge.demo.shop_files import ITEM_COUNT
from vlm4rec_edge.demo.shop_files import SHOP as SHOP_OF_THE_DEMO

# Another release of the codec may round otherwise. Two drawings are far more apart, as a test shows.
_TOLERANCE = 1.0


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop, drawn anew."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def mean_difference(one: Path, other: Path) -> float:
    """How far two pictures are apart, in grey levels of 256."""
    first, second = (np.asarray(Image.open(path), np.float32) for path in (one, other))
    assert first.shape == second.shape == (SIZE[1], SIZE[0], 3)
    return float(np.abs(first - second).mean())


def test_the_shop_has_the_files_that_its_generator_writes(drawn: Path) -> None:
    assert names(SHOP) == names(drawn)
    assert SHOP == SHOP_OF_THE_DEMO


def test_the_table_is_that_which_its_generator_writes(drawn: Path) -> None:
    assert rows(SHOP / "items.csv") == rows(drawn / "items.csv")


def test_the_pictures_are_those_that_its_generator_draws(drawn: Path) -> None:
    pictures = [name for name in names(drawn) if name.endswith(SUFFIX)]
    assert len(pictures) == ITEM_COUNT == len(rows(SHOP / "items.csv"))
    apart = {name: mean_difference(SHOP / name, drawn / name) for name in pictures}
    assert {name: difference for name, difference in apart.items() if difference > _TOLERANCE} == {}


def test_another_picture_would_be_noticed(drawn: Path) -> None:
    pictures = [drawn / row["image"] for row in rows(drawn / "items.csv")]
    differences = [mean_difference(*pair) for pair in pairwise(pictures)]
    assert min(differences) > 5 * _TOLERANCE


def test_the_shop_takes_less_than_a_megabyte() -> None:
    assert sum(path.stat().st_size for path in SHOP.rglob("*") if path.is_file()) < 1_000_000
