"""Claims about the pictures the project draws itself."""

from __future__ import annotations

import csv
import hashlib
import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from drawings import Drawing, catalog_of_drawings, draw, write_catalog
from drawings.colours import COLOURS, cloth_colour
from drawings.kinds import KINDS
from PIL import Image

from vlm4rec_edge.errors import UsageError


def _garment(image: Image.Image) -> np.ndarray:
    """The pixels of the product: what differs from the backdrop's own row, away from the shadow's grey."""
    pixels = np.asarray(image, dtype=np.float32)
    edge = pixels[:, :3].mean(axis=1, keepdims=True)
    return pixels[np.abs(pixels - edge).max(axis=2) > 55]


def _nearest_colour(rgb: np.ndarray) -> str:
    return min(COLOURS, key=lambda name: float(np.linalg.norm(rgb - np.asarray(COLOURS[name], dtype=np.float32))))


def test_the_default_catalog_is_broad_enough_to_recommend_from():
    drawings = catalog_of_drawings()
    colours = defaultdict(set)
    for drawing in drawings:
        colours[drawing.kind].add(drawing.colour)
    assert len(drawings) >= 72
    assert len(colours) >= 12
    assert min(len(found) for found in colours.values()) >= 3
    assert len({drawing.pattern for drawing in drawings}) >= 6
    assert len({drawing.colour for drawing in drawings}) == len(COLOURS)


def test_every_kind_has_as_many_drawings_as_asked_for():
    counts = Counter(drawing.kind for drawing in catalog_of_drawings(3, seed=5))
    assert counts == dict.fromkeys(KINDS, 3)


def test_ids_are_unique_within_and_between_catalogs():
    ids = [drawing.item_id for seed in range(3) for drawing in catalog_of_drawings(12, seed)]
    assert len(set(ids)) == len(ids)


def test_an_id_and_a_title_say_what_is_drawn():
    drawing = Drawing("t-shirt", "dark blue", "stripe", 1)
    assert drawing.item_id == "t-shirt-dark-blue-stripe-1"
    assert drawing.title == "Dark blue striped T-shirt"
    assert drawing.attributes == {"kind": "T-shirt", "colour": "dark blue", "pattern": "stripe"}
    assert Drawing("jeans", "blue", "denim", 1).title == "Blue jeans"


def test_the_same_drawing_is_the_same_picture_and_another_seed_another_one():
    first, again, other = (draw(Drawing("dress", "red", "floral", seed)).tobytes() for seed in (1, 1, 2))
    assert hashlib.sha256(first).digest() == hashlib.sha256(again).digest()
    assert first != other


def test_the_same_seed_gives_the_same_catalog_whatever_chance_did_before():
    random.seed(1)
    first = catalog_of_drawings(4, seed=7)
    random.seed(2)
    assert catalog_of_drawings(4, seed=7) == first
    assert catalog_of_drawings(4, seed=8) != first


@pytest.mark.parametrize("colour", [name for name in COLOURS if name not in ("white", "beige")])
def test_a_plain_t_shirt_has_the_colour_of_its_name(colour):
    assert _nearest_colour(np.median(_garment(draw(Drawing("t-shirt", colour, "solid", 1))), axis=0)) == colour


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if "solid" in kind.patterns])
def test_every_kind_takes_the_colour_it_is_given(kind):
    assert _nearest_colour(np.median(_garment(draw(Drawing(kind, "red", "solid", 1))), axis=0)) == "red"


def test_a_dye_lot_is_never_nearer_to_another_colour():
    rng = random.Random(0)
    for name in COLOURS:
        for _lot in range(50):
            assert _nearest_colour(np.asarray(cloth_colour(name, rng), dtype=np.float32)) == name


@pytest.mark.parametrize("pattern", ["stripe", "check", "dots", "floral", "melange"])
def test_a_pattern_brings_in_more_than_one_colour(pattern):
    kind = next(name for name, kind in KINDS.items() if pattern in kind.patterns)
    spread = {
        choice: float(_garment(draw(Drawing(kind, "dark blue", choice, 1))).std()) for choice in ("solid", pattern)
    }
    assert spread[pattern] > 1.15 * spread["solid"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fills_the_picture_and_stays_inside_it(kind):
    pattern = KINDS[kind].patterns[0]
    pixels = np.asarray(draw(Drawing(kind, "blue", pattern, 3)), dtype=np.float32)
    assert pixels.shape == (480, 320, 3)
    product = np.abs(pixels - pixels[:, :3].mean(axis=1, keepdims=True)).max(axis=2) > 55
    assert product.mean() > 0.06
    for border in (product[:4], product[-4:], product[:, :4], product[:, -4:]):
        assert not border.any()


def test_a_picture_comes_in_the_size_asked_for():
    image = draw(Drawing("cap", "red", "solid", 1), size=(96, 144))
    assert (image.size, image.mode) == ((96, 144), "RGB")


@pytest.mark.parametrize("drawing", [Drawing("sofa", "red", "solid", 1), Drawing("cap", "mauve", "solid", 1)])
def test_what_cannot_be_drawn_is_refused_with_what_can(drawing):
    with pytest.raises(UsageError, match=r"There is no .* to draw; there are .*"):
        draw(drawing)


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_a_catalog_that_cannot_be_meant_is_refused(count, seed):
    with pytest.raises(UsageError):
        catalog_of_drawings(count, seed)


def test_a_written_catalog_names_pictures_that_are_there(tmp_path):
    drawings = catalog_of_drawings(1)[:3]
    path = write_catalog(tmp_path / "shop", drawings)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [drawing.item_id for drawing in drawings]
    for row, drawing in zip(rows, drawings, strict=True):
        assert (row["title"], row["kind"]) == (drawing.title, drawing.attributes["kind"])
        assert (row["colour"], row["pattern"]) == (drawing.colour, drawing.pattern)
        with Image.open(path.parent / row["image"]) as image:
            assert (image.format, image.size) == ("JPEG", (320, 480))
