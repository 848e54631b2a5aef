"""A profile is a weighted sum of vectors, scaled to length one; by default the mean of the history."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_store import random_vectors, unit

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.profile import ProfileSettings, event_weights, mean_profile, rocchio


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


def _weights(count: int, *, weights: Any = None, times: Any = None, **settings: Any) -> list[float]:
    return event_weights(count, ProfileSettings(**settings), weights=weights, times=times).tolist()


def test_by_default_every_event_counts_the_same() -> None:
    assert _weights(4) == [1, 1, 1, 1]


def test_an_event_counts_half_as_much_as_one_a_half_life_newer() -> None:
    assert _weights(4, half_life=1) == [1 / 8, 1 / 4, 1 / 2, 1]
    assert _weights(3, half_life=10, times=[100, 120, 110]) == [1 / 4, 1, 1 / 2]
    assert _weights(3, half_life=10, times=[100, 120, 110], weights=[4, 1, 2]) == [1, 1, 1]


def test_only_the_ages_matter_and_not_the_hour() -> None:
    late = _weights(3, half_life=7, times=[1e9, 1e9 + 3, 1e9 + 20])
    assert late == pytest.approx(_weights(3, half_life=7, times=[0, 3, 20]))


def test_the_last_events_are_the_newest_whatever_their_order() -> None:
    assert _weights(4, last=2) == [0, 0, 1, 1]
    assert _weights(4, last=2, times=[9, 1, 8, 2]) == [1, 0, 1, 0]
    assert _weights(2, last=5) == [1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [1, 2]}, "There are 2 weights for 3 items"),
        ({"times": [1, 2, 3, 4]}, "There are 4 times for 3 items"),
        ({"weights": [1, -1, 1]}, "A weight is negative; name what is disliked"),
        ({"weights": [0, 0, 0]}, "Every event of the history has the weight 0"),
        ({"weights": [1, float("nan"), 1]}, "weights must be finite"),
        ({"times": [1, float("inf"), 1]}, "times must be finite"),
        ({"last": 0}, "at least 1"),
        ({"half_life": 0}, "half-life is 0"),
        ({"interests": 0}, "at least 1"),
        ({"merge": "sum"}, "choose quota or best"),
        ({"dislike_weight": -1}, "numbers from 0 on"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _weights(3, **options)


def test_rocchio_is_the_sum_of_its_three_means() -> None:
    liked, disliked, text = random_vectors(4, 8), random_vectors(3, 8, seed=2), random_vectors(1, 8, seed=3)
    weights = np.array([1.0, 2.0, 0.5, 4.0])
    settings = ProfileSettings(dislike_weight=0.3, text_weight=0.7)
    found = rocchio(liked, weights, disliked, text, settings)
    expected = 0.7 * text[0] + np.average(liked, axis=0, weights=weights) - 0.3 * disliked.mean(axis=0)
    np.testing.assert_allclose(found.vector, expected / np.linalg.norm(expected), atol=1e-6)
    nothing = np.zeros((0, 8), np.float32)
    plain = rocchio(liked, np.ones(4), nothing, nothing, settings)
    np.testing.assert_allclose(plain.vector, mean_profile(liked), atol=1e-6)


def test_contributions_are_the_parts_of_the_score() -> None:
    liked, disliked, others = random_vectors(5, 16), random_vectors(2, 16, seed=2), random_vectors(9, 16, seed=3)
    found = rocchio(liked, np.arange(1.0, 6), disliked, liked[:0], ProfileSettings())
    parts = found.contributions(others)
    assert parts.shape == (9, 7)
    np.testing.assert_allclose(parts.sum(axis=1), others @ found.vector, atol=1e-6)
    np.testing.assert_allclose(parts[:, 5:] <= 0, others @ disliked.T >= 0)


def test_the_more_an_item_is_disliked_the_farther_away_is_the_profile() -> None:
    liked, disliked = random_vectors(3, 16), random_vectors(1, 16, seed=2)
    none = liked[:0]
    cosines = [
        float(disliked[0] @ rocchio(liked, np.ones(3), disliked, none, ProfileSettings(dislike_weight=weight)).vector)
        for weight in (0, 0.1, 0.2, 0.5, 1)
    ]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[-1] < cosines[0] - 0.1
