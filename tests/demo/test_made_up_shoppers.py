"""Shoppers made up from groups of photos: of one photo, of few, and of many, always the same."""

from __future__ import annotations

import numpy as np
import pytest
from made_store import unit

from vlm4rec_edge.demo.groups import MOST_GROUPED, MOST_GROUPS, made_groups
from vlm4rec_edge.demo.tastes import BOUGHT

WORDS = ("boots leather", "dress silk", "scarf wool", "bag canvas")


def _photos(count: int, groups: int = 4) -> tuple[dict[str, str], np.ndarray]:
    random = np.random.default_rng(3)
    kinds = random.integers(0, groups, count)
    captions = {f"p{place}": f"Fine {WORDS[kind]} number {place}." for place, kind in enumerate(kinds)}
    return captions, unit(np.eye(groups, 8)[kinds] + 0.1 * random.normal(size=(count, 8)))


def test_groups_are_of_photos_whose_captions_are_alike_and_say_why() -> None:
    captions, vectors = _photos(60)
    groups = made_groups(captions, vectors)
    assert len(groups) == MOST_GROUPS
    assert [group.size for group in groups] == [12] * MOST_GROUPS
    for group in groups[:3]:
        nouns = {captions[item].split()[1] for item in group.history}
        assert len(group.history) == BOUGHT
        assert len(nouns) == 1, "what is bought together reads alike"
        assert set(group.words) <= set(" ".join(WORDS).split())
        assert nouns <= set(group.words)
    bought = [item for group in groups for item in group.history]
    assert len(set(bought)) == len(bought), "no photo is in two groups"
    assert groups == made_groups(captions, vectors)


@pytest.mark.parametrize(("count", "shoppers"), [(0, 0), (1, 0), (2, 1), (3, 1), (7, 1), (10, 2), (19, 4), (200, 5)])
def test_few_photos_give_few_shoppers_who_leave_something_to_be_recommended(count: int, shoppers: int) -> None:
    captions, vectors = _photos(count)
    groups = made_groups(captions, vectors)
    assert len(groups) == shoppers
    for group in groups:
        assert 1 <= len(group.history) <= min(BOUGHT, count - 1)
        assert len(set(group.history)) == len(group.history)


def test_photos_of_one_caption_and_photos_that_are_all_unlike_are_grouped_too() -> None:
    same = {f"p{place}": "A shoe." for place in range(12)}
    for group in made_groups(same, np.tile(np.eye(1, 4, dtype=np.float32), (12, 1))):
        assert (group.size, len(set(group.history)), group.words) == (4, BOUGHT, [])
    unlike = {f"p{place}": f"Thing {place}." for place in range(8)}
    groups = made_groups(unlike, np.eye(8, dtype=np.float32))
    assert groups
    assert all(group.history for group in groups)


def test_different_captions_go_first_into_a_history() -> None:
    captions = {f"p{place}": f"Shoe {place // 2}." for place in range(7)}
    vectors = unit(np.eye(7)[np.arange(7) // 2 * 2] + 1)
    (group,) = made_groups(captions, vectors)
    assert [captions[item] for item in group.history] == list(dict.fromkeys(captions[item] for item in group.history))


def test_of_a_large_catalog_a_sample_is_grouped() -> None:
    captions, vectors = _photos(MOST_GROUPED + 500)
    groups = made_groups(captions, vectors)
    assert [group.size for group in groups] == [MOST_GROUPED // MOST_GROUPS] * MOST_GROUPS
