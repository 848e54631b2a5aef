"""Intervals and tests say what they claim: they cover the truth, see a difference, see none, and repeat themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from vlm4rec_edge.evaluation import bootstrap_interval, compare, randomisation_p_value, significance


def test_the_interval_of_a_mean_is_about_two_standard_errors_to_each_side() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    estimate = bootstrap_interval(values)
    error = values.std() / np.sqrt(len(values))
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    estimates = [bootstrap_interval(generator.random(60) < 0.3, resamples=300, level=0.8) for _ in range(300)]
    covered = np.mean([estimate.low <= 0.3 <= estimate.high for estimate in estimates])
    assert 0.72 < covered < 0.88


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = np.random.default_rng(3).random(50)
    assert bootstrap_interval(values, seed=5) == bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)


def test_the_p_value_is_the_part_of_all_signs_that_is_as_far_from_zero() -> None:
    differences = np.array([0.3, -0.1, 0.2, 0.5, -0.4, 0.25, 0.0, 0.1])
    sums = [abs(np.dot(signs, differences)) for signs in product([-1, 1], repeat=len(differences))]
    exact = np.mean([value >= abs(differences.sum()) - 1e-9 for value in sums])
    assert randomisation_p_value(differences, resamples=50_000) == pytest.approx(exact, abs=0.01)


def test_p_values_are_even_where_there_is_no_difference() -> None:
    generator = np.random.default_rng(4)
    values = [randomisation_p_value(generator.normal(size=40), resamples=200) for _ in range(400)]
    assert np.mean(np.array(values) < 0.05) < 0.09
    assert 0.4 < np.mean(values) < 0.6


def test_signs_are_drawn_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(5).normal(0.1, 1, 100)
    whole = randomisation_p_value(differences, resamples=4000)
    monkeypatch.setattr(significance, "_SIGNS_PER_BLOCK", 1)
    assert randomisation_p_value(differences, resamples=4000) == pytest.approx(whole, abs=0.03)


def test_equal_systems_do_not_differ() -> None:
    values = np.random.default_rng(6).random(30)
    difference = compare(values, values)
    assert (difference.mean, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_a_small_difference_that_all_users_share_is_seen_though_users_vary_much() -> None:
    values = np.random.default_rng(7).random(200)
    difference = compare(values + 0.01, values)
    assert difference.low == pytest.approx(0.01)
    assert difference.high == pytest.approx(0.01)
    assert difference.p_value < 0.001
    turned = compare(values, values + 0.01)
    assert (turned.mean, turned.p_value) == (pytest.approx(-difference.mean), difference.p_value)


def test_other_users_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="3 values cannot be paired with 2"):
        compare(np.zeros(3), np.zeros(2))
