"""One vector an item: unit length, and scores that are the weighted sum of their parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import random_vectors

from vlm4rec_edge.learning.judging import GRID
from vlm4rec_edge.mixture import Layout, Weights, as_query, mixed, popularity_of_buyers

CONTENT, FACTORS = random_vectors(50, 16), random_vectors(50, 8, seed=2)
POPULARITY = np.random.default_rng(3).random(50).astype(np.float32)


@given(st.sampled_from(GRID), st.floats(0, 1))
def test_vectors_have_length_one_and_scores_are_the_weighted_sum(weights: Weights, trust: float) -> None:
    factors = (FACTORS * np.float32(trust)).astype(np.float32)
    vectors = mixed(CONTENT, factors, POPULARITY, weights)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    expected = (
        (1 - weights.together) * CONTENT @ CONTENT[:3].mean(axis=0)
        + weights.together * factors @ factors[:3].mean(axis=0)
        + weights.often * POPULARITY * POPULARITY[:3].mean()
    )
    scores = (1 + weights.often) * vectors @ as_query(vectors[:3]).mean(axis=0)
    assert scores == pytest.approx(expected, abs=1e-5)


def test_the_parts_of_a_vector_lie_where_the_layout_says() -> None:
    layout, weights = Layout(16, 8), Weights(0.5, 0.2)
    vectors = mixed(CONTENT, FACTORS, POPULARITY, weights)
    assert vectors.shape == (50, layout.dimensions)
    shares = {name: vectors[:, where] @ vectors[0, where] for name, where in layout.parts.items()}
    assert sum(shares.values()) == pytest.approx(vectors @ as_query(vectors[0]), abs=1e-6)
    assert shares["reads alike"] == pytest.approx(0.5 / 1.2 * CONTENT @ CONTENT[0], abs=1e-5)
    assert shares["bought together"] == pytest.approx(0.5 / 1.2 * FACTORS @ FACTORS[0], abs=1e-5)
    assert shares["often bought"] == pytest.approx(0.2 / 1.2 * POPULARITY * POPULARITY[0], abs=1e-5)


def test_content_is_never_dropped() -> None:
    assert max(weights.together for weights in GRID) < 1


def test_items_marked_as_new_are_as_popular_as_a_typical_purchase_until_somebody_buys_them() -> None:
    buyers = np.array([0, 3, 0, 9])
    found = popularity_of_buyers(buyers, np.array([True, True, False, False]))
    assert found.tolist() == pytest.approx([(3 * np.log(4) / np.log(10) + 9) / 12, np.log(4) / np.log(10), 0, 1])
