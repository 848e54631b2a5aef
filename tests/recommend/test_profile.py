"""A profile is the mean of the history's vectors, scaled to length one."""

from __future__ import annotations

import numpy as np
import pytest
from made_store import random_vectors, unit

from vlm4rec_edge.recommend.profile import mean_profile


def test_a_profile_is_the_scaled_mean_of_its_vectors() -> None:
    vectors = random_vectors(7, 16)
    profile = mean_profile(vectors)
    mean = np.mean([vector.astype(np.float64) for vector in vectors], axis=0)
    np.testing.assert_allclose(profile, mean / np.linalg.norm(mean), atol=1e-6)
    assert (profile.dtype, profile.shape) == (np.float32, (16,))


def test_the_profile_of_one_item_is_its_vector() -> None:
    vector = random_vectors(1, 16)
    np.testing.assert_allclose(mean_profile(vector), vector[0], atol=1e-6)


def test_an_item_bought_twice_counts_twice() -> None:
    profile = mean_profile(unit([[1, 0], [1, 0], [0, 1]]))
    np.testing.assert_allclose(profile, np.array([2, 1]) / np.sqrt(5), atol=1e-6)


def test_order_does_not_matter() -> None:
    vectors = random_vectors(50, 16)
    np.testing.assert_allclose(mean_profile(vectors), mean_profile(vectors[::-1]), atol=1e-7)


def test_no_items_and_items_that_cancel_out_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        mean_profile(np.zeros((0, 4), np.float32))
    with pytest.raises(ValueError, match="cancel each other out"):
        mean_profile(unit([[1, 0], [-1, 0]]))
