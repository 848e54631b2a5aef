"""Where the photo vectors of items lie, and their means."""

from __future__ import annotations

import numpy as np

from vlm4rec_edge.store.photo_vectors import ItemPhotos, photo_file_name, photos_of_items

_VECTORS = np.eye(4, dtype=np.float32)


def _asked(*pairs: tuple[str, int]) -> ItemPhotos:
    return photos_of_items(["a", "b", "c", "d"], lambda *_: pairs, _VECTORS)


def test_means_are_of_the_items_asked_for_in_their_order() -> None:
    photos = _asked(("d", 3), ("b", 0), ("x", 2), ("b", 1))
    found = photos.at(np.array([1, 0, 3, 1]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[half, half, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [half, half, 0, 0]], atol=1e-6)
    assert (found.dtype, photos.count) == (np.float32, 2)


def test_where_no_item_has_any_all_are_zero() -> None:
    assert not _asked().at(np.arange(4)).any()
    assert _asked().at(np.arange(0)).shape == (0, 4)


def test_photos_that_take_each_other_away_are_none() -> None:
    opposite = photos_of_items(["a"], lambda *_: [("a", 0), ("a", 1)], np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32))
    assert not opposite.at(np.array([0])).any()


def test_two_towers_have_files_of_their_own() -> None:
    assert photo_file_name("a" * 64, 1) != photo_file_name("b" * 64, 1) != photo_file_name("b" * 64, 2)
