"""What photos add is measured beside the same words, by weights chosen on other users."""

from __future__ import annotations

import numpy as np
import pytest
from recommending.photo_tables import LEARNED, both_ways, photo_cold, photo_judged, photo_table

from vlm4rec_edge.evaluation.split import Split, leave_last_out
from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.learning.learning import WITH_PHOTOS

_ITEMS, _USERS, _GROUPS = 120, 60, 12


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def split() -> Split:
    """Users who each buy three things of one group, so few that most pairs are bought once."""
    random = np.random.default_rng(0)
    each = _ITEMS // _GROUPS
    group = random.integers(0, _GROUPS, _USERS)
    item = np.concatenate([number * each + random.permutation(each)[:3] for number in group]).astype(np.int32)
    user = np.repeat(np.arange(_USERS, dtype=np.int32), 3)
    ids = tuple(f"{number:03}" for number in range(_ITEMS))
    dates = np.tile(np.arange(3.0), _USERS)
    users = tuple(map(str, range(_USERS)))
    return leave_last_out(Interactions(users, ids, user, item, dates, np.ones(len(item))), ids)


@pytest.fixture(scope="module")
def content() -> np.ndarray:
    return _unit(np.random.default_rng(1).standard_normal((_ITEMS, 16)))


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Photos that show the group."""
    random = np.random.default_rng(2)
    groups = np.repeat(random.standard_normal((_GROUPS, 8)), _ITEMS // _GROUPS, axis=0)
    return _unit(groups + 0.3 * random.standard_normal((_ITEMS, 8)))


def test_photos_that_show_what_goes_together_beat_learning_from_words(
    split: Split, content: np.ndarray, photos: np.ndarray
) -> None:
    known = both_ways(split.training, content, photos)
    assert all(own.content is content for own in known.values())
    section = photo_table(known, split, photos, ("photos", "Photos"), seed=0)
    found = {row["way"]: row for row in section.figures}
    assert list(found) == ["content", "photos by themselves", "content and popularity", LEARNED, WITH_PHOTOS]
    assert found[WITH_PHOTOS]["mean"] > found[LEARNED]["mean"]
    assert found["photos by themselves"]["mean"] > found["content"]["mean"]


def test_photos_find_items_that_nobody_bought(split: Split, content: np.ndarray, photos: np.ndarray) -> None:
    found = {row["way"]: row["recall"] for row in photo_cold(split, content, photos, seed=0).figures}
    assert found[WITH_PHOTOS] > found[LEARNED]


def test_the_guard_is_that_of_the_command(split: Split, content: np.ndarray, photos: np.ndarray) -> None:
    *figures, chosen = photo_judged(split, content, photos, seed=0).figures
    assert [row["way"] for row in figures] == ["content", "popularity", "content and popularity", LEARNED, WITH_PHOTOS]
    assert chosen["chosen"] == WITH_PHOTOS
    noise = _unit(np.random.default_rng(5).standard_normal((_ITEMS, 8)))
    assert photo_judged(split, content, noise, seed=0).figures[-1]["chosen"] != WITH_PHOTOS
