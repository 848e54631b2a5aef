"""Maximal marginal relevance: from the nearest items to the most different ones."""

from __future__ import annotations

import numpy as np
import pytest
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import Recommender
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.diversity import diversify, pool_size
from vlm4rec_edge.recommend.selection import Selection


@pytest.mark.parametrize("diversity", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_order_is_that_of_the_formula(diversity: float) -> None:
    """Carbonell and Goldstein 1998, equation of section 2, put down as it stands there."""
    vectors, query = random_vectors(40, 8), random_vectors(1, 8, seed=2)[0]
    vectors = vectors[np.argsort(-(vectors @ query))]
    relevance, likeness = vectors @ query, vectors @ vectors.T
    expected = [0]
    while len(expected) < 12:
        rest = [place for place in range(40) if place not in expected]
        gain = [
            (1 - diversity) * relevance[place] - diversity * max(likeness[place, chosen] for chosen in expected)
            for place in rest
        ]
        expected.append(rest[int(np.argmax(gain))])
    assert diversify(vectors, relevance, 12, diversity) == expected


def test_without_diversity_the_order_is_that_of_the_scores() -> None:
    assert diversify(random_vectors(5, 4), np.array([0.9, 0.5, 0.5, 0.1, -1]), 5, 0.0) == [0, 1, 2, 3, 4]


def test_no_candidates_give_no_answer() -> None:
    assert diversify(np.zeros((0, 4), np.float32), np.zeros(0), 5, 0.5) == []


def test_near_twins_give_way_to_something_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    twins = unit([1, 0, 0, 0] + 0.001 * np.random.default_rng(1).normal(size=(20, 4)))
    others = unit([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    folder = write_store(tmp_path_factory.mktemp("twins") / "store", np.concatenate([twins, others]))
    with Recommender.open(folder) as shop:
        plain = {hit.item_id for hit in shop.similar("item-0", 4)}
        diverse = [hit.item_id for hit in shop.similar("item-0", 4, selection=Selection(diversity=0.7))]
    others_ids = {"item-20", "item-21", "item-22"}
    assert not plain & others_ids
    assert set(diverse[1:]) == others_ids
    assert diverse[0] not in others_ids


def test_a_knob_outside_its_range_is_refused() -> None:
    for diversity in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="goes from 0 to 1"):
            Selection(diversity=diversity)


def test_the_pool_holds_more_than_is_chosen() -> None:
    assert all(pool_size(k) > k for k in (1, 10, 100, 1000))
