"""People drawn in a catalog's garments show the garment, on what the catalog's photos show of it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from training_code import MISSING

if MISSING:
    pytest.skip(f"training needs {MISSING[0]}: pip install -e '.[cpu,export,train]'", allow_module_level=True)

from PIL import Image, ImageDraw
from worn import cut_out, draw_worn, dress_people, wearable

_GROUND, _GREEN = (232, 232, 230), (10, 150, 40)


def _photo(box: tuple[int, int, int, int] = (20, 30, 76, 110)) -> Image.Image:
    photo = Image.new("RGB", (96, 144), _GROUND)
    ImageDraw.Draw(photo).rectangle(box, fill=_GREEN)
    # A print in the colour of the background lies inside the garment and belongs to it.
    ImageDraw.Draw(photo).rectangle((40, 60, 56, 76), fill=_GROUND)
    return photo


def _rows(*kinds: str) -> list[dict[str, str]]:
    return [{"type": kind} for kind in kinds]


def test_a_garment_is_cut_out_with_all_that_lies_inside_it() -> None:
    cut = cut_out(_photo())
    assert cut is not None
    assert cut.size == (57, 81)
    assert cut.getpixel((28, 40)) == (*_GROUND, 255)
    assert cut.getpixel((3, 3)) == (*_GREEN, 255)


def test_a_garment_that_fills_the_photo_or_leaves_it_gives_no_cutting() -> None:
    assert cut_out(_photo((0, 30, 76, 110))) is None
    assert cut_out(_photo((20, 30, 76, 143))) is None
    assert cut_out(Image.new("RGB", (96, 144), _GROUND)) is None


@pytest.mark.parametrize("kind", ["T-shirt", "Dress", "Trousers"])
def test_a_person_wears_the_garment_in_its_colour(kind: str) -> None:
    cut = cut_out(_photo())
    assert cut is not None
    for seed in range(10):
        picture = draw_worn(cut, kind, random.Random(seed))
        assert picture.size == (144, 144)
        worn = np.all(np.abs(np.asarray(picture).astype(int) - _GREEN) < 4, axis=2).mean()
        assert 0.08 < worn < 0.6, seed


def test_only_clothes_of_a_body_are_worn_and_rows_stay_their_own(tmp_path: Path) -> None:
    rows = _rows("Bag", "T-shirt", "Trousers", "Sneakers", "Dress", "T-shirt")
    numbers = wearable(rows, np.array([0, 1, 2, 3, 4]), 100)
    assert numbers.tolist() == [1, 2, 4]
    photos = np.stack([np.asarray(_photo())] * len(rows))
    photos[2] = _GREEN  # no background: nothing to cut out
    pictures, whose = dress_people(photos, rows, numbers, tmp_path / "worn.npz")
    assert whose.tolist() == [1, 4]
    assert pictures.shape == (2, 144, 96, 3)
    again, _ = dress_people(np.zeros_like(photos), rows, numbers, tmp_path / "worn.npz")
    assert np.array_equal(pictures, again)
